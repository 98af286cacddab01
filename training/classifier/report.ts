/** One run's figures under one roof: `metrics.json` is this, and the card is written from nothing else. */

import {
  anyFigures,
  type Judged,
  labelFigures,
  overFlagging,
  quantizationLoss,
  transferFigures,
  worldFigures,
} from './evaluate.ts';
import type { Example } from './example.ts';
import { LICENCES } from './licences.ts';

export type Facts = {
  version: string;
  command: string;
  settings: Record<string, number>;
  seconds: number;
  bytes: { model: number; gzip: number };
};

export function report(
  facts: Facts,
  rows: {
    examples: readonly Example[];
    heldout: readonly Judged[];
    heldoutFloat: readonly Judged[];
    measureOnly: readonly Judged[];
  },
) {
  const { examples, heldout, heldoutFloat, measureOnly } = rows;
  return {
    ...facts,
    data: dataBySource(examples),
    labels: labelFigures(heldout),
    any: anyFigures(heldout),
    overFlagging: overFlagging(heldout),
    world: worldFigures(heldout),
    quantization: quantizationLoss(heldoutFloat, heldout),
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
