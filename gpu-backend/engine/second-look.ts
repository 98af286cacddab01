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

/** Up to so many windows, each message has its own. */
const MOST_APART = 64;

/**
 * At most `window` tokens each, counted from the message's start. The last window of a longer
 * message is its last `window` tokens: a few tokens that are left over would say little.
 *
 * A prompt may have thousands of short messages. Where there would be more than MOST_APART windows,
 * neighbours that fit into one window are joined. Then any two neighbours have more than `window`
 * tokens together, so the work is bounded by the prompt's length.
 */
export function windowsOf(messages: readonly LookedMessage[], window: number): Window[] {
  const apart = messages.flatMap((message) => cut(message, window));
  return apart.length > MOST_APART ? joinNeighbours(apart, window) : apart;
}

function cut({ from, to, last }: LookedMessage, window: number): Window[] {
  const windows: Window[] = [];
  for (let at = from; at + window < to; at += window) {
    windows.push({ from: at, to: at + window, last: at + window - 1 });
  }
  return [...windows, { from: Math.max(from, to - window), to, last }];
}

function joinNeighbours(windows: readonly Window[], window: number): Window[] {
  const joined: Window[] = [];
  for (const next of windows) {
    const before = joined.at(-1);
    const fits = before !== undefined && next.from >= before.to && next.to - before.from <= window;
    if (fits) joined[joined.length - 1] = { from: before.from, to: next.to, last: next.last };
    else joined.push(next);
  }
  return joined;
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
  const width = (sums[0]?.length ?? 0) / layers.length;
  const features = new Float32Array(layers.length * pooling.length * width);
  for (const [i, { from, to }] of windows.entries()) {
    const own = pooling.map((_, pool) => sums[i * pooling.length + pool]);
    features.fill(Number.NaN);
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
