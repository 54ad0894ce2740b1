/** llmpress: recipe-based compression of language models. */

export type { Quantized } from './checkpoint/layouts/layout.ts'
export type { QuantizationArgs, QuantizationScheme } from './checkpoint/quantization-config.ts'
export type { ChatMessage } from './data/chat.ts'
export type { DataSurvey } from './data/data-survey.ts'
export type { Dataset, RowMode } from './data/rows.ts'
export { type Diagnosis, diagnose } from './engine/doctor.ts'
export type { Engine, EngineName } from './engine/engine.ts'
export { installNative } from './engine/native-install.ts'
export { installWebgpu } from './engine/webgpu-install.ts'
export { type InspectedModule, type Inspection, inspect } from './eval/inspect.ts'
export { type Perplexity, type PerplexityOptions, perplexity } from './eval/perplexity.ts'
export { type Verification, type VerifiedLinear, type VerifyOptions, verify } from './eval/verify.ts'
export { type WeightHistogram, type WeightHistogramOptions, type WeightHistograms, weightHistograms } from './eval/weight-histograms.ts'
export type { DownloadProgress, HubOptions } from './hub/settings.ts'
export type { Kernels } from './kernels/kernels.ts'
export { defineModifier } from './modifiers/define.ts'
export { leverOptions, type Quality } from './modifiers/gptq/quality.ts'
export type {
  CalibrationBatch,
  Linear,
  LinearReport,
  Mapping,
  Modifier,
  ModifierDefinition,
  Needs,
  RescaleReport,
  Rescales,
  Stage,
} from './modifiers/modifier.ts'
export { quantizationOptions } from './modifiers/quantization-options.ts'
export type { OnProgress, ProgressEvent } from './oneshot/events.ts'
export { forecastRun, type RunForecast } from './oneshot/forecast.ts'
export { type OneshotOptions, oneshot } from './oneshot/oneshot.ts'
export { type Plan, type PlanOptions, planRun } from './oneshot/plan.ts'
export { type RebuildOptions, type Rebuilt, rebuild } from './oneshot/rebuild.ts'
export type { PlannedLinear } from './oneshot/staged-linear.ts'
export { type SurveyOptions, surveyData } from './oneshot/survey-data.ts'
export { defineRecipe } from './recipe/define.ts'
export type { Recipe } from './recipe/recipe.ts'
export type { RunRecord } from './report/record.ts'
export { report } from './report/report.ts'
export { type Grid, minMaxGrid } from './schemes/qparams.ts'
export { dequantize, quantizeToGrid, relativeError } from './schemes/quantize.ts'
export { schemeLabel } from './schemes/scheme.ts'
export type { ServerFinding } from './servers/server.ts'
export type { Target } from './servers/targets.ts'
export { CheckpointError, DataError, type Position, RecipeError, RunError, RunStopped, UserError } from './util/errors.ts'
