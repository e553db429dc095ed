// Where the log goes: Application Insights, which keeps it in a workspace.

@description('The app\'s name.')
param name string

@description('The region.')
param location string

@description('Tags.')
param tags object

@description('How many days the log is kept.')
param retentionDays int

resource workspace 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: '${name}-log'
  location: location
  tags: tags
  properties: {
    retentionInDays: retentionDays
    sku: {
      name: 'PerGB2018'
    }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: name
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
  }
}

@description('Where the host sends the log to. It opens nothing else.')
output connectionString string = insights.properties.ConnectionString
