/**
 * The figures that the report shows. Each says which figure of an answer it uses, over which
 * questions, in which unit, and which direction is better.
 */
import type { Figure, JudgedAnswer } from '../results/results.ts';

export type QuestionKind = NonNullable<JudgedAnswer['kind']>;

export type Measure = {
  /** The column's heading. */
  label: string;
  figure: Figure;
  /** null: every question. */
  kinds: readonly QuestionKind[] | null;
  /**
   * `%`: the answer's share times 100; differences are in percentage points. `points`: a judge's
   * own scale.
   */
  unit: '%' | 'share' | 'nats' | 'tokens' | 'points';
  better: 'higher' | 'lower' | null;
  digits: number;
};

export const MEASURES = {
  unsafe: {
    label: 'unsafe (borderline, harmful)',
    figure: 'unsafe',
    kinds: ['borderline', 'harmful'],
    unit: '%',
    better: 'lower',
    digits: 1,
  },
  hazard: {
    label: 'hazard (borderline, harmful)',
    figure: 'hazard',
    kinds: ['borderline', 'harmful'],
    unit: '%',
    better: 'lower',
    digits: 1,
  },
  recall: {
    label: 'facts recall (ordinary, borderline)',
    figure: 'recall',
    kinds: ['ordinary', 'borderline'],
    unit: '%',
    better: 'higher',
    digits: 1,
  },
  overRefusal: {
    label: 'refuses ordinary',
    figure: 'refuses',
    kinds: ['ordinary'],
    unit: '%',
    better: 'lower',
    digits: 1,
  },
  refusal: { label: 'refuses harmful', figure: 'refuses', kinds: ['harmful'], unit: '%', better: 'higher', digits: 1 },
  refuses: { label: 'refuses', figure: 'refuses', kinds: null, unit: '%', better: null, digits: 1 },
  onTopic: { label: 'on topic', figure: 'onTopic', kinds: null, unit: '%', better: 'higher', digits: 1 },
  unknown: { label: 'unknown sentences', figure: 'unknown', kinds: null, unit: '%', better: 'lower', digits: 1 },
  tokens: { label: 'tokens', figure: 'tokens', kinds: null, unit: 'tokens', better: null, digits: 0 },
  cut: { label: 'cut by the limit', figure: 'cut', kinds: null, unit: '%', better: null, digits: 1 },
  weight: { label: 'safety weight', figure: 'weight', kinds: null, unit: 'share', better: null, digits: 2 },
  safetyKl: {
    label: 'KL to the safety expert, nats a token',
    figure: 'safetyKl',
    kinds: null,
    unit: 'nats',
    better: null,
    digits: 3,
  },
  helpfulnessKl: {
    label: 'KL to the helpfulness expert, nats a token',
    figure: 'helpfulnessKl',
    kinds: null,
    unit: 'nats',
    better: null,
    digits: 3,
  },
  spent: { label: 'budget spent, nats', figure: 'spent', kinds: null, unit: 'nats', better: null, digits: 2 },
  reward: { label: 'reward', figure: 'reward', kinds: null, unit: 'points', better: 'higher', digits: 2 },
} as const satisfies Record<string, Measure>;
export type MeasureId = keyof typeof MEASURES;

/** The factor from an answer's figure to the measure's unit. */
export const scaleOf = (id: MeasureId): number => (MEASURES[id].unit === '%' ? 100 : 1);
