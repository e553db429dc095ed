// keyturn's right at one vault that it publishes to: the built-in role Key Vault Secrets Officer. Deployed into the
// vault's resource group.

@description('The vault. It must use Azure RBAC; access policies are not looked at.')
param vaultName string

@description('The object id of the app\'s identity.')
param principalId string

// azure-facts 3.2
var secretsOfficer = 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7'

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' existing = {
  name: vaultName
}

resource assignment 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, principalId, secretsOfficer)
  scope: vault
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', secretsOfficer)
  }
}
