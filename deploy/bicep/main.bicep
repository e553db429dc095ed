// keyturn as an Azure Function: the app on a Flex Consumption plan, its identity, its storage account, its log, and the
// rights that it needs at API Management and at the vaults. Deploy it into a resource group:
//
//   az deployment group create --resource-group <group> --parameters deploy/bicep/main.bicepparam
//
// Whoever deploys it must be allowed to write role definitions and role assignments at the services and the vaults.
targetScope = 'resourceGroup'

@description('The function app\'s name, which is also the first part of its address. Everything else is named after it.')
@minLength(2)
@maxLength(40)
param name string

@description('The region. It must offer the Flex Consumption plan.')
param location string = resourceGroup().location

@description('The resource ids of the API Management services whose credentials keyturn looks after.')
@minLength(1)
param serviceIds string[]

@description('The resource ids of the vaults that it publishes to. They must use Azure RBAC. None: no vault is used.')
param vaultIds string[] = []

@description('What keyturn may do at the services: names of files in deploy/roles. As few as the configuration needs.')
@minLength(1)
param roles ('set' | 'regenerate' | 'tenant-access-set' | 'tenant-access-regenerate' | 'gateways')[] = ['set']

@description('The whole configuration as text. Empty: the file `configurationFile` is read, which is deployed with the app.')
param configuration string = ''

@description('The configuration\'s file beside function_app.py.')
param configurationFile string = 'keyturn.yaml'

@description('When the timer fires: six fields of NCRONTAB, UTC.')
param schedule string = '0 */5 * * * *'

@description('Who takes the turns that the timer finds: the queue, on as many hosts as there are, or the timer itself.')
param fanOut ('queue' | 'none') = 'queue'

@description('The queue of turns: lower-case letters, digits and single hyphens. A second one is called so with `-poison`.')
@minLength(3)
@maxLength(56)
param queueName string = 'keyturn-turns'

@description('Seconds after which an invocation begins nothing new. Stay below functionTimeout in host.json.')
@minValue(1)
param timeLimit int = 240

@description('The most hosts that may run at once.')
@minValue(1)
param maximumInstanceCount int = 40

@description('The memory of one host, in MB.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@description('How many days the log is kept.')
@minValue(30)
param logRetentionDays int = 30

@description('Further app settings by name, such as the variable that holds a webhook\'s secret, best as a reference to Key Vault; or the four AzureAD__ settings, if the app must not use its managed identity.')
@secure()
param moreSettings object = {}

@description('Tags for everything that is made here.')
param tags object = {}

// The files that `az role definition create` takes are the only place where actions are written down.
var definitions = {
  set: loadJsonContent('../roles/set.json')
  regenerate: loadJsonContent('../roles/regenerate.json')
  'tenant-access-set': loadJsonContent('../roles/tenant-access-set.json')
  'tenant-access-regenerate': loadJsonContent('../roles/tenant-access-regenerate.json')
  gateways: loadJsonContent('../roles/gateways.json')
}
var chosen = [for role in roles: definitions[role]]

// An identity of its own, not the app's: it is there before the app, so that its rights are, too, and it survives a
// new app of the same name.
resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: '${name}-identity'
  location: location
  tags: tags
}

module storage 'modules/storage.bicep' = {
  name: '${name}-storage'
  params: {
    name: 'kt${uniqueString(resourceGroup().id, name)}'
    location: location
    tags: tags
    queueName: queueName
    principalId: identity.properties.principalId
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: '${name}-monitoring'
  params: {
    name: name
    location: location
    tags: tags
    retentionDays: logRetentionDays
  }
}

module serviceRoles 'modules/service-roles.bicep' = [for id in serviceIds: {
  name: '${name}-roles-${uniqueString(id)}'
  scope: resourceGroup(split(id, '/')[2], split(id, '/')[4])
  params: {
    serviceName: last(split(id, '/'))
    definitions: chosen
    principalId: identity.properties.principalId
  }
}]

module vaultRole 'modules/vault-role.bicep' = [for id in vaultIds: {
  name: '${name}-vault-${uniqueString(id)}'
  scope: resourceGroup(split(id, '/')[2], split(id, '/')[4])
  params: {
    vaultName: last(split(id, '/'))
    principalId: identity.properties.principalId
  }
}]

module app 'modules/app.bicep' = {
  name: '${name}-app'
  params: {
    name: name
    location: location
    tags: tags
    identityId: identity.id
    identityClientId: identity.properties.clientId
    storageName: storage.outputs.name
    packageContainer: storage.outputs.packageContainer
    insightsConnectionString: monitoring.outputs.connectionString
    maximumInstanceCount: maximumInstanceCount
    instanceMemoryMB: instanceMemoryMB
    configuration: configuration
    configurationFile: configurationFile
    schedule: schedule
    fanOut: fanOut
    queueName: queueName
    timeLimit: timeLimit
    moreSettings: moreSettings
  }
  // otherwise the app would begin without its rights
  dependsOn: [
    serviceRoles
    vaultRole
  ]
}

@description('The app\'s name: where the code is published to.')
output appName string = app.outputs.name

@description('Where the HTTP functions answer.')
output address string = app.outputs.address

@description('The identity\'s object id, for roles that are assigned elsewhere.')
output principalId string = identity.properties.principalId

@description('What an Event Grid subscription of the kind azurefunction names as its endpoint.')
output hintFunctionId string = app.outputs.hintFunctionId
