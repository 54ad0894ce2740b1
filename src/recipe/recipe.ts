import type { ModifierDefinition } from '../modifiers/modifier.ts'
import type { NamedScheme } from '../schemes/resolve.ts'
import type { RecipeError } from '../util/errors.ts'

/** One modifier of a recipe, ready for `definition.create(options)`. */
export interface RecipeModifier {
  readonly definition: ModifierDefinition
  /** Validated against `definition.schema`, its defaults filled in. */
  readonly options: Readonly<Record<string, unknown>>
  /** What a quantizing modifier does, in the order of the recipe; empty for the others. */
  readonly schemes: readonly NamedScheme[]
  /** An error that points at an option: a path within `options`, such as `['targets', 0]`. */
  errorAt(path: readonly (string | number)[], message: string): RecipeError
}

export interface Recipe {
  /** Base name of the file, name of the preset, or `recipe`. */
  readonly name: string
  /** The YAML or JSON as given; of an object, its YAML. Saved beside the checkpoint; reading it gives this recipe again. */
  readonly text: string
  readonly file?: string
  /** In the order they act; at least one. */
  readonly modifiers: readonly RecipeModifier[]
}
