/** The report's plots by file name. */
import type { TopLevelSpec } from 'vega-lite';
import type { Study } from '../../analysis/study.ts';
import { floorsPlot } from './floors.ts';
import { frontierPlot } from './frontier.ts';
import { planePlot } from './plane.ts';
import { prefillPlot } from './prefill.ts';
import { weightsAlongPlot } from './weights-along.ts';
import { weightsByCategoryPlot } from './weights-by-category.ts';

/** Each returns null if the study has nothing to draw. */
export const PLOTS = {
  plane: planePlot,
  floors: floorsPlot,
  frontier: frontierPlot,
  'weights-along': weightsAlongPlot,
  'weights-by-category': weightsByCategoryPlot,
  prefill: prefillPlot,
} as const satisfies Record<string, (study: Study) => TopLevelSpec | null>;
export type PlotName = keyof typeof PLOTS;
