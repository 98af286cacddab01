/**
 * Where runs get their pairs and settings from: the small world under the demo's settings, or a
 * finished folder of `train smollm2`, which has some of the runs already.
 */
import type { ExpertRole } from '#gpu-backend/model/manifest.ts';
import type { Dimension } from '#training/data/preferences.ts';
import type { DualDefinition } from '#training/stages/dual-pairs.ts';
import type { SplitPairs } from '#training/stages/preference-data.ts';
import type { Scorer } from '#training/stages/scorer.ts';
import type { TrainingTokenizer } from '#training/tokenizer/chat-files.ts';
import type { RunName } from './run-names.ts';

type Lora = { rank: number; alpha: number };
type PairTraining = { learningRate: number; pairsPerBatch: number; epochs: number };
/** The settings of the stages, for all but the published runs, which have their own. */
type StageSettings = {
  score: Lora & PairTraining;
  expert: Lora & PairTraining & { beta: number; nllWeight: number; marginScale: number };
  router: PairTraining & { width: number; beta: number; lambda: Readonly<Record<'layers' | 'logits', number>> };
};

/** How the bundle of this source mixes where no line says more. */
export type Served = {
  /** The safety weight of every token if no router proposes one. */
  defaultWeight: number;
  /** The routers in the bundle. With one over the logits, that proposes the weight. */
  routers: readonly ('layers' | 'logits')[];
};

export type RunSource = StageSettings & {
  /** What the runs learn from, in words, for the report. */
  what: string;
  served: Served;
  /** The pairs that say which answer is the better one in this dimension: heads learn from them. */
  pairs: (dimension: Dimension) => Promise<SplitPairs>;
  /** The pairs that every policy of this role compares. They may be more. */
  compared: (role: ExpertRole) => Promise<SplitPairs>;
  /**
   * D_dual under another definition, as the source makes its own: `better` is the winner. Without
   * it, the pairs of both dimensions are ranked.
   */
  dual?: (options: {
    definition: DualDefinition;
    reward: Scorer;
    cost: Scorer;
    tokenizer: TrainingTokenizer;
  }) => Promise<SplitPairs>;
  /** What decided the pairs. Every run keeps it in its settings. */
  dataSettings: Readonly<Record<string, unknown>>;
  /** The folder of a run that is finished and only read; null: it is to be trained. */
  finished: (name: RunName) => string | null;
};
