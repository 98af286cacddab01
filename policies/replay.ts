/**
 * At which token of a stored answer another policy could first have made a difference.
 *
 * As long as both policies draw from the same distributions, the answer so far and what it has
 * spent are the same under both. So token after token is looked at as if nothing before it differs,
 * until one does. A trace does not hold whole distributions, so there are three outcomes for a
 * token: surely the same, surely another distribution (at temperature 0: another token), or not to
 * be told from what is stored.
 *
 * What a trace tells: the weight was the router's proposal, held between floor and ceiling, so a
 * weight strictly between them is the proposal itself. `spent` tells exactly how much likelier a
 * token was than under the safety expert, and so whether it fits under another budget. Where the
 * trace has the likeliest tokens of a greedy step, with both experts' log-probabilities, they and
 * what is left of each expert's probability bound every other token.
 *
 * This is about distributions. The key of the draws depends on the line as signed, so an answer
 * that is drawn again under another line is another sample from its first token on.
 */
import type { FinishReason } from '#shared/api/chat-answer.ts';
import type { TokenTrace } from '#shared/api/plimsoll-extension.ts';
import { natsLeft, spendingBound } from '#shared/gate/add-spending.ts';
import { effectiveFloor, effectiveWeight } from '#shared/gate/effective-weight.ts';
import type { Line } from '#shared/line/line.ts';
import { type GreedyTop, replayGreedy } from './replay-greedy.ts';

export type StoredToken = Pick<TokenTrace, 'id' | 'weight' | 'lp_s' | 'lp_h' | 'spent'> & {
  /** The likeliest tokens of the step, likeliest first, if they were stored. */
  top?: readonly GreedyTop[] | undefined;
};

export type StoredAnswer = {
  tokens: readonly StoredToken[];
  /** The line that was held. */
  line: Line;
  /** 0 is greedy. */
  temperature: number;
  /** Whether top-p, top-k or min-p cut any tokens off. */
  isCut: boolean;
  /**
   * Whether the mixture is not the one that the experts' stored log-probabilities give: a penalty
   * for repetition shapes it, or it was made from truncated rows.
   */
  isReshaped: boolean;
  /** Whether the safety expert was asked for every token. Else nobody knows what they spent. */
  isAccounted: boolean;
  finish: FinishReason;
  /** How many tokens the request asked for at most; null: it did not say. */
  asked: number | null;
  /** The limit on tokens that was in force; null: there was none. undefined: nobody knows. */
  limit?: number | null | undefined;
};

/**
 * What the other policy makes of the same prompt, and how many tokens it allows of what was asked
 * for. null: it refuses.
 */
export type OtherPolicy = { line: Line; maxTokens: number | null } | null;

/** `token` counts from 0. The number of the answer's tokens stands for its end. */
type Difference = { token: number; why: string };

export type Replay = {
  /** The first token that could have been another one; null: none could. */
  could: Difference | null;
  /** The first token at which it surely is so, if it was not before; null: at none. */
  surely: Difference | null;
  /** The first token of which the trace does not tell; null: it tells all that is asked of it. */
  unknown: Difference | null;
  /** Whether nothing is unknown, so that `could` and `surely` are the same. */
  exact: boolean;
};

type Verdict = 'same' | { isSure: boolean; why: string };
const SAME = 'same';
const perhaps = (why: string): Verdict => ({ isSure: false, why });
const surely = (why: string): Verdict => ({ isSure: true, why });

/** Far above the rounding of some thousand sums, far below what a policy sets. In nats. */
const ROUNDING = 1e-9;

export function replay(stored: StoredAnswer, other: OtherPolicy): Replay {
  let could: Difference | null = null;
  for (const [token, verdict] of verdicts(stored, other)) {
    if (verdict === SAME) continue;
    const found = { token, why: verdict.why };
    could ??= found;
    if (verdict.isSure) return outcome(could, found);
  }
  return outcome(could, null);
}

function outcome(could: Difference | null, surely: Difference | null): Replay {
  const unknown = could?.token === surely?.token ? null : could;
  return { could, surely, unknown, exact: unknown === null };
}

/** The same, where the first token already could be another one for a reason of its own. */
export function unseenFrom(why: string, { surely }: Replay): Replay {
  return outcome({ token: 0, why }, surely);
}

function* verdicts(stored: StoredAnswer, other: OtherPolicy): Generator<[number, Verdict]> {
  const { tokens, finish } = stored;
  const wasRefused = finish === 'content_filter';
  if (other === null || wasRefused) {
    if (other === null && wasRefused) return;
    yield [0, surely(other === null ? 'the policy refuses the prompt' : 'the policy does not refuse the prompt')];
    return;
  }
  let spent: number | null = 0;
  for (const [position, token] of tokens.entries()) {
    if (other.maxTokens !== null && position >= other.maxTokens) {
      yield [position, surely(`the policy ends an answer after ${other.maxTokens} tokens`)];
      return;
    }
    yield [position, verdictOf(token, { stored, line: other.line, position, spent })];
    spent = token.spent;
  }
  yield [tokens.length, endVerdict(stored, other, spent)];
}

type At = { stored: StoredAnswer; line: Line; position: number; spent: number | null };

function verdictOf(token: StoredToken, at: At): Verdict {
  const { stored, line } = at;
  const before = bounds(stored.line, at);
  const after = bounds(line, at);
  // With nothing left to spend, the safety expert alone draws.
  if (before.isClosed && after.isClosed) return SAME;
  const isSameLeft = before.left === after.left;
  if (stored.line.mode === 'layers' || line.mode === 'layers') {
    const isHeldAlike = before.floor === after.floor && before.ceiling === after.ceiling;
    if (stored.line.mode === line.mode && isHeldAlike && isSameLeft) return SAME;
    return perhaps('in the mode layers, a floor acts inside the model, where no trace looks');
  }
  const isAccountKnown = stored.isAccounted || (token.spent !== null && at.spent !== null);
  if (!isAccountKnown && after.isBounded) {
    return perhaps('the safety expert was not asked, so what the token costs against it is not known');
  }
  const weights = weightsUnder(token.weight, { before, after });
  const isSameWeight =
    weights.least === token.weight &&
    weights.most === token.weight &&
    (stored.line.rule === line.rule || isPure(token.weight));
  if (isSameWeight && isSameLeft) return SAME;
  const cost = token.spent === null || at.spent === null ? Number.POSITIVE_INFINITY : token.spent - at.spent;
  const step = {
    token,
    cost,
    weights,
    isSameWeight,
    before,
    after,
    rule: line.rule,
    isSameRule: stored.line.rule === line.rule,
  };
  return stored.temperature === 0 ? greedyVerdict(step, stored) : drawnVerdict(step, stored);
}

type Bounds = { floor: number; ceiling: number; left: number | null; isBounded: boolean; isClosed: boolean };

function bounds(line: Line, { position, spent }: At): Bounds {
  const floor = effectiveFloor(line, { position });
  const bound = spendingBound(line, { position });
  const left = bound === null ? null : spent === null ? 0 : natsLeft(bound, { spent });
  return {
    floor,
    ceiling: Math.max(line.ceiling, floor),
    left,
    isBounded: bound !== null,
    isClosed: left !== null && left <= 0,
  };
}

/**
 * Between which weights the other policy's must lie, given the one that was used. The safety expert
 * alone may be a fault's doing, which shows under no policy.
 */
function weightsUnder(
  weight: number,
  { before, after }: { before: Bounds; after: Bounds },
): { least: number; most: number } {
  if (after.isClosed) return { least: 1, most: 1 };
  const [least, most] = proposalsFor(weight, before);
  return { least: effectiveWeight(least, after), most: weight === 1 ? 1 : effectiveWeight(most, after) };
}

/** What the router may have proposed. A closed gate, or a line with no room, hides it. */
function proposalsFor(weight: number, { floor, ceiling, isClosed }: Bounds): readonly [number, number] {
  if (isClosed || floor === ceiling || (weight === 1 && floor < 1)) return [0, 1];
  if (weight === floor) return [0, floor];
  if (weight === ceiling) return [ceiling, 1];
  return [weight, weight];
}

type Step = {
  token: StoredToken;
  /** Nats that the token has spent; at temperature 0, its regret. */
  cost: number;
  weights: { least: number; most: number };
  isSameWeight: boolean;
  before: Bounds;
  after: Bounds;
  rule: Line['rule'];
  isSameRule: boolean;
};

function greedyVerdict(
  { token, cost, weights, isSameWeight, before, after, rule, isSameRule }: Step,
  { isReshaped }: StoredAnswer,
): Verdict {
  const { left } = after;
  if (left !== null && cost > Math.max(0, left) + ROUNDING) {
    return surely(`the token costs ${shown(cost)} nats, and the policy leaves ${shown(Math.max(0, left))} there`);
  }
  if (left !== null && (left <= 0 || cost > left - ROUNDING)) {
    return perhaps('the token costs just what the policy leaves there');
  }
  if (isSameWeight) {
    const isTighter = left !== null && (before.left === null || left <= before.left);
    // The best of all that was affordable is the best of fewer, too.
    if (isTighter || token.top?.[0]?.id === token.id) return SAME;
    return perhaps('the policy leaves more nats there, and the trace does not say what else was likely');
  }
  if (token.top === undefined || isReshaped || !isSameRule || before.isClosed || weights.least !== weights.most) {
    return perhaps(weightWords(token, weights));
  }
  const again = replayGreedy(token.top, {
    chosen: token.id,
    cost,
    left,
    rule,
    weights: { before: token.weight, after: weights.least },
  });
  if (again === 'same') return SAME;
  if (again === 'other') return surely(`${weightWords(token, weights)}, at which another token is likelier`);
  return perhaps(`${weightWords(token, weights)}, and the stored tokens do not tell which is likeliest`);
}

function drawnVerdict(
  { token, cost, weights, isSameWeight, isSameRule, before, after }: Step,
  { isCut, isReshaped }: StoredAnswer,
): Verdict {
  const { left } = after;
  if (left !== null && cost > Math.max(0, left) + ROUNDING) {
    return surely(
      `the token was ${shown(cost)} nats likelier than under the safety expert, and the policy leaves ${shown(Math.max(0, left))} there`,
    );
  }
  if (after.isClosed && Math.abs(cost) > ROUNDING) {
    return surely('the policy leaves no nats there, so the safety expert alone draws');
  }
  if (isSameWeight) return perhaps('the policy leaves other nats there, which matters if any token takes all of them');
  const isOtherWeight = weights.most < token.weight || weights.least > token.weight;
  // Two rules may give the same mixture at two weights, but not where one weight is 0 or 1.
  const isComparable = isSameRule || isPure(token.weight) || (weights.least === weights.most && isPure(weights.least));
  const isOpen = !before.isBounded && !after.isBounded && !isCut && !isReshaped && isComparable;
  const { lp_s, lp_h } = token;
  const doExpertsDiffer = lp_s !== null && lp_h !== null && Math.abs(lp_s - lp_h) > ROUNDING;
  if (isOtherWeight && isOpen && doExpertsDiffer) return surely(weightWords(token, weights));
  return perhaps(weightWords(token, weights));
}

const isPure = (weight: number) => weight === 0 || weight === 1;

/** How the answer ended is not in its trace, so here only equal bounds are surely the same. */
function endVerdict(
  stored: StoredAnswer,
  { line, maxTokens }: NonNullable<OtherPolicy>,
  spent: number | null,
): Verdict {
  const position = stored.tokens.length;
  if (stored.finish === 'length') {
    // What the request asked for ends the answer under any policy, and so does the model's context.
    const isWhole = position === stored.asked || (stored.limit !== undefined && position !== stored.limit);
    const isLonger = !isWhole && (maxTokens === null || maxTokens > position);
    return isLonger ? perhaps('the policy allows a longer answer') : SAME;
  }
  if (maxTokens !== null && maxTokens <= position) return SAME;
  const at = { stored, line, position, spent };
  const [before, after] = [bounds(stored.line, at), bounds(line, at)];
  if (before.isClosed && after.isClosed) return SAME;
  const isAlike =
    before.floor === after.floor &&
    before.ceiling === after.ceiling &&
    before.left === after.left &&
    stored.line.rule === line.rule &&
    stored.line.mode === line.mode;
  return isAlike ? SAME : perhaps('the answer might not have ended there');
}

function weightWords({ weight }: StoredToken, { least, most }: Step['weights']): string {
  const after = least === most ? shown(least) : `between ${shown(least)} and ${shown(most)}`;
  return `the safety weight was ${shown(weight)}, and is ${after} under the policy`;
}

const shown = (value: number) => String(Math.round(value * 1e4) / 1e4);
