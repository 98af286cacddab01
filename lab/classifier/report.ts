/**
 * All the figures of one run. `metrics.json` holds exactly this, and the card is written from
 * nothing else.
 */

import type { AttackFigures, AttackPrompts } from './attack-figures.ts';
import type { ContrastFigures } from './contrast-figures.ts';
import type { EncodedFigures } from './encoded-figures.ts';
import {
  anyFigures,
  type Judged,
  labelFigures,
  overFlagging,
  quantizationLoss,
  reliability,
  transferFigures,
  worldFigures,
} from './evaluate.ts';
import type { Example } from './example.ts';
import type { LeftOutFigures } from './left-out-figures.ts';
import { LICENCES } from './licences.ts';
import { ANY_HARM_RAMP } from './recipe.ts';

export type Facts = {
  version: string;
  command: string;
  settings: Record<string, number>;
  bytes: { model: number; gzip: number };
};

export function report(
  facts: Facts,
  rows: {
    examples: readonly Example[];
    heldout: readonly Judged[];
    heldoutFloat: readonly Judged[];
    measureOnly: readonly Judged[];
    attackPrompts: AttackPrompts;
    attacks: readonly AttackFigures[];
    contrast: readonly ContrastFigures[];
    encoded: readonly EncodedFigures[];
    leftOut: readonly LeftOutFigures[];
  },
) {
  const { examples, heldout, heldoutFloat, measureOnly, attackPrompts, attacks, contrast, encoded, leftOut } = rows;
  return {
    ...facts,
    data: dataBySource(examples),
    labels: labelFigures(heldout),
    reliability: reliability(heldout),
    any: anyFigures(heldout),
    overFlagging: overFlagging(heldout),
    world: { demo: worldFigures(heldout, { inDemo: true }), others: worldFigures(heldout, { inDemo: false }) },
    quantization: quantizationLoss(heldoutFloat, heldout),
    attacked: { harmful: attackPrompts.harmful.length, benign: attackPrompts.benign.length },
    attacks,
    ramp: ANY_HARM_RAMP,
    contrast,
    encoded,
    leftOut,
    elsewhere: {
      labels: labelFigures(measureOnly),
      any: anyFigures(measureOnly),
      overFlagging: overFlagging(measureOnly),
      sources: transferFigures(measureOnly),
    },
  };
}
export type Report = ReturnType<typeof report>;

function dataBySource(examples: readonly Example[]) {
  const bySource = Object.groupBy(examples, ({ source }) => source);
  return Object.entries(bySource)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([source, rows = []]) => {
      const count = (split: Example['split']) => rows.filter((row) => row.split === split).length;
      const { licence } = LICENCES[source]!;
      return { source, licence, train: count('train'), calibration: count('calibration'), heldout: count('heldout') };
    });
}
