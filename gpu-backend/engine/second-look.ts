/**
 * The engine's part of the second look: which stretches of the safety row's prompt are pooled, and
 * what the bundle's probe says of them. Each message is cut into windows, because a mean over a
 * long text dilutes what a part of it says. The strictest window counts, judgement by judgement.
 */
import { JUDGEMENTS } from '#shared/line/categories.ts';
import type { LookedMessage, Span } from '../model/looked-messages.ts';
import { askProbe, type Probe } from '../model/probe.ts';

/** A stretch that is looked at as one, and the token by which it has been read. */
type Window = Span & { last: number };

/**
 * At most `window` tokens each, counted from the message's start. The last window of a longer
 * message is its last `window` tokens: a few tokens that are left over would say little.
 */
export function windowsOf(messages: readonly LookedMessage[], window: number): Window[] {
  return messages.flatMap(({ from, to, last }) => {
    const windows: Window[] = [];
    for (let at = from; at + window < to; at += window) {
      windows.push({ from: at, to: at + window, last: at + window - 1 });
    }
    return [...windows, { from: Math.max(from, to - window), to, last }];
  });
}

/** What to sum for these windows: for each, all of it and the last token, as the probe pools. */
export function lookSpans(windows: readonly Window[], { head }: Probe): Span[] {
  return windows.flatMap(({ from, to, last }) =>
    head.pooling.map((pooling) => (pooling === 'mean' ? { from, to } : { from: last, to: last + 1 })),
  );
}

/**
 * The strictest probabilities over all windows, in the order of JUDGEMENTS. NaN if a state is
 * missing or not a number.
 *
 * @param sums of `lookSpans`, each [layers * d]
 */
export function lookAt(probe: Probe, windows: readonly Window[], sums: readonly (Float32Array | null)[]): number[] {
  const { layers, pooling } = probe.head;
  const strictest = JUDGEMENTS.map(() => (windows.length === 0 ? Number.NaN : 0));
  for (const [i, { from, to }] of windows.entries()) {
    const own = pooling.map((_, pool) => sums[i * pooling.length + pool]);
    const width = (own[0]?.length ?? 0) / layers.length;
    const features = new Float32Array(layers.length * pooling.length * width).fill(Number.NaN);
    for (const [pool, sum] of own.entries()) {
      if (!sum) continue;
      const count = pooling[pool] === 'mean' ? to - from : 1;
      for (let layer = 0; layer < layers.length; layer++) {
        for (let d = 0; d < width; d++) {
          features[(layer * pooling.length + pool) * width + d] = sum[layer * width + d]! / count;
        }
      }
    }
    const found = width === 0 ? [] : askProbe(probe, features);
    // Math.max keeps a NaN.
    for (const j of strictest.keys()) strictest[j] = Math.max(strictest[j]!, found[j] ?? Number.NaN);
  }
  return strictest;
}
