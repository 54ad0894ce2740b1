// Writes schemas/recipe.schema.json from the modifiers as built: npm run schemas
import { writeFile } from 'node:fs/promises'

const built = new URL('../dist/recipe/schema.js', import.meta.url).href
const { recipeSchemaFile } = await import(built)
await writeFile(new URL('../schemas/recipe.schema.json', import.meta.url), await recipeSchemaFile())
