/** The names of the training runs that the demo bundle and the study are made of. */
export const RUN_NAMES = [
  'reward',
  'cost',
  'dpo-safety',
  'dpo-helpfulness',
  'dpo-both',
  'sequential',
  'modpo',
  'spe-safety',
  'spe-helpfulness',
  'spe-safety-faithful',
  'spe-helpfulness-faithful',
  'dual',
  'dual-faithful',
  'layers',
  'layers-faithful',
  'logits',
] as const;
export type RunName = (typeof RUN_NAMES)[number];
