// keyturn's rights at one API Management service: a role definition for each file of deploy/roles that was chosen, and
// its assignment at the service. Deployed into the service's resource group.

@description('The API Management service.')
param serviceName string

@description('Role definitions, as the files have them. Their AssignableScopes are placeholders; the group\'s is taken.')
param definitions array

@description('The object id of the app\'s identity.')
param principalId string

resource service 'Microsoft.ApiManagement/service@2022-08-01' existing = {
  name: serviceName
}

// A role's name must be unique in the whole tenant, so it names the service.
resource definition 'Microsoft.Authorization/roleDefinitions@2022-04-01' = [for each in definitions: {
  name: guid(service.id, each.Name)
  properties: {
    roleName: '${each.Name} (${serviceName})'
    description: each.Description
    type: 'CustomRole'
    permissions: [
      {
        actions: each.Actions
        notActions: each.NotActions
        dataActions: each.DataActions
        notDataActions: each.NotDataActions
      }
    ]
    assignableScopes: [
      resourceGroup().id
    ]
  }
}]

resource assignment 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for (each, at) in definitions: {
  name: guid(service.id, principalId, each.Name)
  scope: service
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', definition[at].name)
  }
}]
