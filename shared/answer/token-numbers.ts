import { LOG_ZERO, SPENT_UNBOUNDED } from '#shared/gate/index.ts';

/** The wire has no infinities, so a probability of zero and unbounded spending become null. */
export const toLogprob = (value: number): number | null => (value <= LOG_ZERO ? null : value);
export const toNats = (value: number): number | null => (value >= SPENT_UNBOUNDED ? null : value);
