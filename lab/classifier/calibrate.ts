/**
 * Platt scaling (1999): a logistic curve from a judgement's score to a probability, fitted on rows
 * that the scoring model was not trained on. Some labels have only a dozen positives among those
 * rows. So we pull the targets in as Platt did, and a weak prior keeps the slope near 1: a few
 * lucky rows must not turn a guess into a certainty.
 */
import { sigmoid } from '#shared/classify/combine-scores.ts';

export type Platt = { slope: number; offset: number };
type Row = { score: number; target: number; weight?: number };
type Weighted = Required<Row>;

const MAX_STEPS = 50;
const TOLERANCE = 1e-9;
/** In rows: how much evidence it takes to move the slope away from 1. */
const SLOPE_PRIOR = 2;

export function fitPlatt(rows: readonly Row[]): Platt {
  const positives = rows.reduce((sum, { target, weight = 1 }) => sum + weight * target, 0);
  const all = rows.reduce((sum, { weight = 1 }) => sum + weight, 0);
  const high = (positives + 1) / (positives + 2);
  const low = 1 / (all - positives + 2);
  const smoothed = rows.map(({ score, target, weight = 1 }) => ({
    score,
    target: low + (high - low) * target,
    weight,
  }));
  let at: Platt = { slope: 1, offset: 0 };
  // Newton's method. Each step is halved until it helps, because far from the optimum the curvature
  // vanishes and a full step flies off.
  for (let step = 0; step < MAX_STEPS; step++) {
    const { dSlope, dOffset } = newtonStep(smoothed, at);
    const before = loss(smoothed, at);
    let share = 1;
    let next = at;
    do {
      next = { slope: at.slope - share * dSlope, offset: at.offset - share * dOffset };
      share /= 2;
    } while (loss(smoothed, next) > before && share > TOLERANCE);
    if (share <= TOLERANCE || Math.abs(dSlope) + Math.abs(dOffset) < TOLERANCE) break;
    at = next;
  }
  return at;
}

function newtonStep(rows: readonly Weighted[], { slope, offset }: Platt): { dSlope: number; dOffset: number } {
  let [gSlope, gOffset, hSlope, hBoth, hOffset] = [SLOPE_PRIOR * (slope - 1), 0, SLOPE_PRIOR, 0, 1e-6];
  for (const { score, target, weight } of rows) {
    const p = sigmoid(slope * score + offset);
    const curvature = weight * p * (1 - p);
    gSlope += weight * (p - target) * score;
    gOffset += weight * (p - target);
    hSlope += curvature * score * score;
    hBoth += curvature * score;
    hOffset += curvature;
  }
  const determinant = hSlope * hOffset - hBoth * hBoth;
  return {
    dSlope: (hOffset * gSlope - hBoth * gOffset) / determinant,
    dOffset: (hSlope * gOffset - hBoth * gSlope) / determinant,
  };
}

/**
 * Cross-entropy as `log(1 + e^z) - target * z`, which no score can overflow, plus the prior on the
 * slope.
 */
function loss(rows: readonly Weighted[], { slope, offset }: Platt): number {
  return rows.reduce(
    (sum, { score, target, weight }) => {
      const z = slope * score + offset;
      return sum + weight * (Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))) - target * z);
    },
    (SLOPE_PRIOR / 2) * (slope - 1) ** 2,
  );
}
