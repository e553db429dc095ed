// The function app itself: Python 3.11 on Linux, on a Flex Consumption plan. The older Consumption plan for Linux gets
// nothing new any more and is to be retired in 2028; this one fetches its package by identity, and scales each function
// for itself.

@description('The function app\'s name.')
param name string

@description('The region.')
param location string

@description('Tags.')
param tags object

@description('The resource id of the app\'s identity.')
param identityId string

@description('The client id of the app\'s identity.')
param identityClientId string

@description('The app\'s own storage account.')
param storageName string

@description('The address of the container that the package lies in.')
param packageContainer string

@description('Where the host sends the log to.')
param insightsConnectionString string

@description('The most hosts that may run at once.')
param maximumInstanceCount int

@description('The memory of one host, in MB.')
param instanceMemoryMB int

@description('The whole configuration as text, or nothing.')
param configuration string

@description('The configuration\'s file, where the text is empty.')
param configurationFile string

@description('When the timer fires.')
param schedule string

@description('Who takes the turns.')
param fanOut string

@description('The queue of turns.')
param queueName string

@description('Seconds after which an invocation begins nothing new.')
param timeLimit int

@description('Further app settings by name.')
@secure()
param moreSettings object

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: '${name}-plan'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
  }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  name: name
  location: location
  tags: tags
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    siteConfig: {
      minTlsVersion: '1.2'
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packageContainer
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.11'
      }
      scaleAndConcurrency: {
        maximumInstanceCount: maximumInstanceCount
        instanceMemoryMB: instanceMemoryMB
      }
    }
  }

  resource settings 'config' = {
    name: 'appsettings'
    properties: union(moreSettings, {
      // the host's storage by identity; keyturn's ledger is a table of the same account, found by the same setting
      AzureWebJobsStorage__accountName: storageName
      AzureWebJobsStorage__credential: 'managedidentity'
      AzureWebJobsStorage__clientId: identityClientId
      APPLICATIONINSIGHTS_CONNECTION_STRING: insightsConnectionString
      // which identity azure-identity is to use: an app may have several
      AZURE_CLIENT_ID: identityClientId
      KEYTURN_CONFIG_TEXT: configuration
      KEYTURN_CONFIG: configurationFile
      KEYTURN_SCHEDULE: schedule
      KEYTURN_FAN_OUT: fanOut
      KEYTURN_QUEUE: queueName
      KEYTURN_TIME_LIMIT: string(timeLimit)
    })
  }
}

@description('The app\'s name.')
output name string = app.name

@description('Where the HTTP functions answer.')
output address string = 'https://${app.properties.defaultHostName}/api'

@description('The function that takes events of Event Grid. It is there once the code is published.')
output hintFunctionId string = '${app.id}/functions/hint'
