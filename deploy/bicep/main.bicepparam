// An example: put your own names and ids here.
using './main.bicep'

param name = 'contoso-keyturn'

param serviceIds = [
  '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.ApiManagement/service/shop-apim'
]

param vaultIds = [
  '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/shop-kv'
]

param roles = ['set']
