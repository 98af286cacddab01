/** Speeds from the times at which streams got their tokens, defined once for all contenders. */

/** When each token came, for each stream: milliseconds of one clock, in order. */
export type TokenTimes = readonly (readonly number[])[];

/** With fewer steps, an answer that happened to be short would decide the figure. */
const LEAST_STEPS = 8;

/**
 * Milliseconds a step, while all streams run: from the last stream's first token, which ends the
 * reading of prompts, to the first stream's last. In a step, each stream gets one token.
 */
export function msPerStep(times: TokenTimes): number {
  const begin = Math.max(...times.map((stream) => stream[0] ?? Number.NaN));
  const end = Math.min(...times.map((stream) => stream.at(-1) ?? Number.NaN));
  const tokens = times.flatMap((stream) => stream.filter((at) => at > begin && at <= end)).length;
  const steps = tokens / times.length;
  if (!(steps >= LEAST_STEPS)) {
    throw new Error(`all streams ran together for ${steps} steps, wanted at least ${LEAST_STEPS}`);
  }
  return (end - begin) / steps;
}

/** Tokens a second of all streams together, while all of them run. */
export function tokensPerSecond(times: TokenTimes): number {
  return (1000 * times.length) / msPerStep(times);
}

/** Milliseconds from each token to the next. */
export function gapsOf(stream: readonly number[]): number[] {
  return stream.slice(1).map((at, i) => at - stream[i]!);
}
