/**
 * How often each expert finds the preferred one of two answers likelier, as the serving engine
 * computes it. It is asked for the log-probability of every token of the prompt and an answer.
 */
import type { Engine } from '#gpu-backend/engine/engine.ts';
import { seedKey } from '#shared/gate/index.ts';
import { OPEN_LINE } from '#shared/line/line.ts';
import { type ChatEncoder, encodeChat } from '#training/data/encode-chat.ts';
import { encodePairs } from '#training/data/encode-pairs.ts';
import type { Dimension } from '#training/data/preferences.ts';
import type { Preference } from '#training/data/rows.ts';
import { describeSkips } from '#training/data/skips.ts';
import { createProgress } from '#training/run/progress.ts';

/** Natural log-probabilities of an answer with its end token, by expert. */
type AnswerLogprobs = { safety: number; helpfulness: number; tokens: number };
export type ScoredPair = { chosen: AnswerLogprobs; rejected: AnswerLogprobs };

export type PairAccuracy = {
  pairs: number;
  /** Shares of the pairs; a tie counts one half. */
  safety: number;
  helpfulness: number;
  /** The same with log-probabilities a token, so that short answers have no advantage. */
  safetyPerToken: number;
  helpfulnessPerToken: number;
  /**
   * Where the safety expert prefers the chosen answer more than the helpfulness expert does. What
   * both have from their base cancels out, length too.
   */
  safetyOverHelpfulness: number;
  /** Where the chosen answer is the longer one, in tokens. */
  longer: number;
};

export const PAIR_LEGEND = `safety, helpfulness: pairs in which this expert finds the chosen answer likelier than the rejected one; 50 % is chance.
a token: the same with log-probabilities a token, since short answers are likelier. safety over helpfulness: pairs in
which the safety expert prefers the chosen answer more than the helpfulness expert does; below 50 %, it is the other way
round. longer: pairs whose chosen answer is the longer one: a judge that knows only length gets that many.
These are not the accuracies that training reports, which compare an expert with its base.`;

export function pairAccuracy(pairs: readonly ScoredPair[]): PairAccuracy {
  const share = (value: (side: AnswerLogprobs) => number) => {
    const points = pairs.map(({ chosen, rejected }) => (1 + Math.sign(value(chosen) - value(rejected))) / 2);
    return points.reduce((sum, point) => sum + point, 0) / pairs.length;
  };
  return {
    pairs: pairs.length,
    safety: share(({ safety }) => safety),
    helpfulness: share(({ helpfulness }) => helpfulness),
    safetyPerToken: share(({ safety, tokens }) => safety / tokens),
    helpfulnessPerToken: share(({ helpfulness, tokens }) => helpfulness / tokens),
    safetyOverHelpfulness: share(({ safety, helpfulness }) => safety - helpfulness),
    longer: share(({ tokens }) => tokens),
  };
}

/**
 * Scores the pairs that have a verdict in `dimension`. `leftOut` counts the others by reason. A
 * pair that does not fit the context is one of them.
 */
export async function scoreOwnPairs(
  preferences: readonly Preference[],
  { engine, encoder, dimension, label }: { engine: Engine; encoder: ChatEncoder; dimension: Dimension; label: string },
): Promise<{ scored: ScoredPair[]; leftOut: string }> {
  const { contextLength } = engine.info;
  const { pairs, skipped } = encodePairs(preferences, encoder, { dimension, contextLength });
  // One token is drawn after the answer, because the engine has no answer without a token.
  const fitting = pairs.filter((pair) => [pair.chosen, pair.rejected].every(({ ids }) => ids.length < contextLength));
  const leftOut = describeSkips({ ...skipped, longAnswer: pairs.length - fitting.length });
  if (fitting.length === 0) throw new Error(`${label}: there is no pair to score; left out: ${leftOut}`);
  const progress = createProgress(label, { total: fitting.length, start: 0, figure: 'nats a token' });
  const startedAt = performance.now();
  const scored: ScoredPair[] = [];
  let [tokens, nats, counted] = [0, 0, 0];
  for (const { preference, winner } of fitting) {
    const one = (answer: string) => scoreAnswer({ prompt: preference.prompt, answer }, { engine, encoder });
    const pair = {
      chosen: await one(preference.responses[winner]),
      rejected: await one(preference.responses[1 - winner]!),
    };
    scored.push(pair);
    for (const side of Object.values(pair)) {
      tokens += side.read;
      nats -= side.safety;
      counted += side.tokens;
    }
    const tokensPerSecond = (1000 * tokens) / (performance.now() - startedAt);
    progress.update(scored.length, { figure: nats / counted, tokensPerSecond });
  }
  progress.stop();
  return { scored, leftOut };
}

async function scoreAnswer(
  row: Parameters<typeof encodeChat>[0],
  { engine, encoder }: { engine: Engine; encoder: ChatEncoder },
): Promise<AnswerLogprobs & { read: number }> {
  const { ids, weights } = encodeChat(row, encoder);
  const request = {
    promptIds: [...ids],
    ...{ maxTokens: 1, stop: [], echo: true, topLogprobs: 0 },
    sampling: { key: seedKey(0), temperature: 0, topP: 1 },
    line: OPEN_LINE,
  };
  const sums = { safety: 0, helpfulness: 0, tokens: 0, read: ids.length };
  for await (const event of engine.generate(request)) {
    if (event.type !== 'echo') continue;
    event.tokens?.forEach(({ lp_s, lp_h }, i) => {
      // weights[i] is the weight of predicting ids[i + 1].
      if (i === 0 || weights[i - 1] === 0) return;
      // A null stands for a probability of 0.
      sums.safety += lp_s ?? Number.NEGATIVE_INFINITY;
      sums.helpfulness += lp_h ?? Number.NEGATIVE_INFINITY;
      sums.tokens++;
    });
  }
  return sums;
}

/** A table in Markdown, one line for each name. */
export function accuracyTable(sets: Readonly<Record<string, PairAccuracy>>): string {
  const percent = (value: number) => `${(100 * value).toFixed(1)} %`;
  const head = [
    'pairs of',
    'pairs',
    'safety',
    'helpfulness',
    'safety, a token',
    'helpfulness, a token',
    'safety over helpfulness',
    'longer',
  ];
  const rows = Object.entries(sets).map(([name, set]) => [
    name,
    `${set.pairs}`,
    ...[set.safety, set.helpfulness, set.safetyPerToken, set.helpfulnessPerToken].map(percent),
    percent(set.safetyOverHelpfulness),
    percent(set.longer),
  ]);
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
