/**
 * What the study measured: the contract between the grid that produces it and the report that shows
 * it.
 */

/**
 * Figures of one answer. Shares are 0 or 1 for a single answer. A figure is absent if the set has
 * no judge for it.
 *
 *   unsafe          the world's oracle found a hazard, a dismissal of one or a reversed caution; in
 *                   other sets, the judge of harm says so
 *   hazard          it found a hazard
 *   recall          share of the facts asked for that the answer names
 *   refuses         it declines, according to the oracle in the world and the judge of refusal
 *                   elsewhere
 *   onTopic         the oracle recognised the question's topic
 *   unknown         share of its sentences that the oracle does not know
 *   tokens          length
 *   cut             the limit on tokens has cut it
 *   weight          mean safety weight of its tokens
 *   safetyKl        mean over its tokens of log p - log p_safety, nats: an estimate of
 *                   KL(served || safety expert)
 *   helpfulnessKl   the same against the helpfulness expert
 *   spent           nats of the budget that it used
 *   reward          how helpful it is, by the score of a judge that learned on disjoint data
 */
export const FIGURES = [
  'unsafe',
  'hazard',
  'recall',
  'refuses',
  'onTopic',
  'unknown',
  'tokens',
  'cut',
  'weight',
  'safetyKl',
  'helpfulnessKl',
  'spent',
  'reward',
] as const;
export type Figure = (typeof FIGURES)[number];

export type JudgedAnswer = {
  /** The question's id. A question has the same id under every method and seed. */
  question: string;
  /**
   * What it is about. Questions of one topic are not independent, so intervals draw whole topics. A
   * question that shares its topic with no other has its own id here.
   */
  topic: string;
  /** ordinary, borderline or harmful in the world; null elsewhere. */
  kind: 'ordinary' | 'borderline' | 'harmful' | null;
  /** The harm category of the question, if it has one. */
  category: string | null;
  figures: Partial<Record<Figure, number>>;
  /** Safety weight of each of its tokens, at most the first 64. */
  weights: number[];
};

export type MethodInfo = {
  id: string;
  /** For tables and plots. */
  label: string;
  /**
   * Methods of one family share a colour. Those that differ in only one number are joined by a
   * line.
   */
  family: 'reference' | 'single' | 'soup' | 'mod' | 'midpo' | 'logits-router' | 'decoder' | 'served';
  /** What the method is, in a sentence, with its source. */
  what: string;
  /** Tokens that all its training runs have seen, without the base's. Mean over seeds. */
  trainedTokens: number;
  /** Floor and budget, if the method is the router under a line. */
  line?: { floor: number; budget: number | null };
  /**
   * Its budget in nats, if it is a point of the frontier: a weight that only the budget holds back.
   * `earned`: it grows along the answer, as a line says.
   */
  frontier?: { budget: number; earned: { start: number; rate: number } | null };
};

export type SetInfo = {
  id: string;
  label: string;
  what: string;
  /** True: read by the oracle. False: real prompts, judged by models. */
  world: boolean;
  questions: number;
};

/**
 * One method on one set with one seed. `depth` is how many tokens of a harmful answer were forced
 * at the start of the answers.
 */
export type Cell = { method: string; set: string; seed: number; depth: number; answers: JudgedAnswer[] };
export type CellName = Omit<Cell, 'answers'>;

export type TrainedRun = {
  name: string;
  seed: number;
  steps: number;
  tokens: number;
  seconds: number;
  /** The last held-out figures of the run, by their names in its metrics. */
  heldOut: Record<string, number>;
};

/** What a study's experts learned from: the small world, or recipes of a real model. */
export const STUDY_KINDS = ['world', 'recipes'] as const;
export type StudyKind = (typeof STUDY_KINDS)[number];

/**
 * A seed whose recipe was lost and trained again, and came out otherwise: on another processor
 * rounding differs. Its cells never stand beside those of the first training in one comparison.
 */
export type Retrained = {
  seed: number;
  /** Of the second training. The registration has that of the first. */
  digest: string;
  cells: Omit<CellName, 'seed'>[];
};

export type StudyResults = {
  study: StudyKind;
  /** SHA-256 of the bundle that ships, in hex. null: each seed's own bundle was asked instead. */
  shipped: string | null;
  /** The command that made the bundle that ships; left out if the bundle does not name it. */
  shippedFrom?: string | undefined;
  methods: MethodInfo[];
  sets: SetInfo[];
  seeds: number[];
  /** What every run learned from, in words. */
  learnedFrom: string;
  cells: Cell[];
  runs: TrainedRun[];
  /**
   * How good the judges of the real sets are on their own held-out data, in percent or as the name
   * says.
   */
  judges: { name: string; what: string; figures: Record<string, number> }[];
  /** The time of all training steps and of all generations, summed over the grid. */
  seconds: { training: number; generating: number };
  /** Left out if no recipe was trained again. */
  retrained?: Retrained[] | undefined;
  /** What is missing from the full grid, in words. Empty if nothing is. */
  missing: string[];
  /** The bundle's base. */
  base: {
    parameters: number;
    /** null: the base came from a bundle, which does not say. */
    steps: number | null;
  };
};
