/** llmpress: recipe-based compression of language models. */

export type { Device } from './advice/devices.ts'
export { type Estimate, type EstimateOptions, estimate, type SizedWeights } from './advice/estimate.ts'
export type { Goal } from './advice/goals.ts'
export { type Judged, type Recommendation, type RecommendOptions, recommend } from './advice/recommend.ts'
export type { Method, Quantized } from './checkpoint/layouts/layout.ts'
export type { QuantizationArgs, QuantizationScheme } from './checkpoint/quantization-config.ts'
export type { ChatMessage } from './data/chat.ts'
export type { DataSurvey } from './data/data-survey.ts'
export type { Dataset, RowMode } from './data/rows.ts'
export { type Diagnosis, diagnose } from './engine/doctor.ts'
export type { Engine, EngineName } from './engine/engine.ts'
export { installNative } from './engine/native-install.ts'
export { installWebgpu } from './engine/webgpu-install.ts'
export { type BenchOptions, bench } from './eval/bench/bench.ts'
export type { BenchResult, Latency } from './eval/bench/bench-result.ts'
export { type BenchServerOptions, benchServer } from './eval/bench/bench-server.ts'
export { type ComparedTensor, type CompareOptions, type Comparison, compare } from './eval/compare.ts'
export { type EvaluateOptions, evaluate } from './eval/evaluate.ts'
export type { Divergence, Evaluation, ModelEvaluation, TextScore } from './eval/evaluation.ts'
export { type Generated, type GeneratedToken, type GenerateOptions, generate } from './eval/generation/generate.ts'
export type { TaskRequest } from './eval/harness/prepare.ts'
export { type ResultsRequest, writeResults } from './eval/harness/results-file.ts'
export type { Answer, Metric, TaskScore } from './eval/harness/task-score.ts'
export { type InspectedLayer, type InspectedModule, type Inspection, type InspectOptions, inspect } from './eval/inspect.ts'
export { type InspectedCodes, type InspectedTensor, type InspectTensorOptions, inspectTensor } from './eval/inspect-tensor.ts'
export { type Perplexity, type PerplexityOptions, perplexity } from './eval/perplexity.ts'
export { reportScores } from './eval/report-scores.ts'
export type { SizeReport } from './eval/size-report.ts'
export type { TextForm, TextRequest } from './eval/text-form.ts'
export { type Verification, type VerifiedLinear, type VerifyOptions, verify } from './eval/verify.ts'
export { type WeightHistogram, type WeightHistogramOptions, type WeightHistograms, weightHistograms } from './eval/weight-histograms.ts'
export type { DownloadProgress, HubOptions } from './hub/settings.ts'
export type { Kernels } from './kernels/kernels.ts'
export { defineModifier } from './modifiers/define.ts'
export { leverOptions, type Quality } from './modifiers/gptq/quality.ts'
export type {
  CalibrationBatch,
  Int8Report,
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
export type { ValueStatistics } from './numerics/value-statistics.ts'
export { type BitsAndBytesInt8Options, BitsAndBytesInt8Quantizer } from './oneshot/bitsandbytes-int8-quantizer.ts'
export { type Conversion, type ConvertOptions, convert } from './oneshot/convert.ts'
export type { OnProgress, ProgressEvent } from './oneshot/events.ts'
export { forecastRun, type RunForecast } from './oneshot/forecast.ts'
export { type Int8Options, Int8Quantizer } from './oneshot/int8-quantizer.ts'
export { type OneshotOptions, oneshot } from './oneshot/oneshot.ts'
export { type Plan, type PlanOptions, planRun } from './oneshot/plan.ts'
export { type RebuildOptions, type Rebuilt, rebuild } from './oneshot/rebuild.ts'
export type { PlannedLinear } from './oneshot/staged-linear.ts'
export { type SurveyOptions, surveyData } from './oneshot/survey-data.ts'
export { defineRecipe } from './recipe/define.ts'
export type { Recipe } from './recipe/recipe.ts'
export { addToReport, type ReportAddition } from './report/add-to-report.ts'
export type { RunRecord } from './report/record.ts'
export { report } from './report/report.ts'
export type { Sample, Score, Scores } from './report/report-run.ts'
export { type Grid, minMaxGrid } from './schemes/qparams.ts'
export { dequantize, quantizeToGrid, relativeError } from './schemes/quantize.ts'
export { schemeLabel } from './schemes/scheme.ts'
export type { ServerFinding } from './servers/server.ts'
export type { Target } from './servers/targets.ts'
export { CheckpointError, DataError, type Position, RecipeError, RunError, RunStopped, UserError } from './util/errors.ts'
