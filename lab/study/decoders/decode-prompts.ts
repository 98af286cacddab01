/**
 * Answers prompts with a decoder that is not the gate, over the engine's own experts: the same
 * weights, cache and batches, and the same uniform numbers for the draws.
 */
import type { Experts, Output, SequenceId } from '#gpu-backend/engine/experts.ts';
import { promptText } from '#gpu-backend/engine/prompt-text.ts';
import type { Vocabulary } from '#shared/answer/vocabulary.ts';
import { logSoftmax, seedKey, uniformAt } from '#shared/gate/index.ts';
import { createProgress } from '#training/run/progress.ts';
import type { Sampling } from '../../evaluate/answer-prompts.ts';
import type { MeasuredAnswer } from '../results/answers.ts';
import type { Decoder, DecoderSampling, Decoding } from './decoder.ts';

export type DecodeOptions = {
  experts: Experts;
  vocabulary: Vocabulary;
  decoder: Decoder;
  /** Temperature 0 takes the likeliest token of the decoder at temperature 1. */
  sampling: Sampling;
  contextLength: number;
  label: string;
  /** How many answers grow together. */
  batch?: number;
};

type Growing = {
  index: number;
  safety: SequenceId;
  helpfulness: SequenceId;
  decoding: Decoding;
  key: ReturnType<typeof seedKey>;
  /** The most tokens of the answer. */
  room: number;
  ids: number[];
  tokens: MeasuredAnswer['tokens'];
};

/** The answers in the order of the prompts. The i-th answer is drawn with the seed plus i. */
export async function decodePrompts(
  prompts: readonly (readonly number[])[],
  options: DecodeOptions,
): Promise<MeasuredAnswer[]> {
  const { experts, vocabulary, decoder, sampling, contextLength, label, batch = 16 } = options;
  const answers = new Array<MeasuredAnswer>(prompts.length);
  const progress = createProgress(label, { total: prompts.length, start: 0, figure: 'nats a token' });
  const shape: DecoderSampling = {
    temperature: sampling.temperature === 0 ? 1 : sampling.temperature,
    topP: sampling.temperature === 0 ? 1 : sampling.topP,
    mask: new Set(vocabulary.banned),
  };
  const eos = new Set(vocabulary.eos);
  const startedAt = performance.now();
  let [next, done, drawn, logprob] = [0, 0, 0, 0];
  let growing: Growing[] = [];

  /** Draws a token. Returns the finish reason if that ends the answer. */
  const grow = (one: Growing, rows: { safety: Output; helpfulness: Output }): 'stop' | 'length' | null => {
    const [safety, helpfulness] = [logprobsOf(rows.safety), logprobsOf(rows.helpfulness)];
    const { logprobs, weight, spent } = one.decoding.next({ safety, helpfulness });
    const id = sampling.temperature === 0 ? likeliest(logprobs) : draw(logprobs, uniformAt(one.key, one.ids.length));
    one.ids.push(id);
    one.tokens.push({ weight, spent, lp: logprobs[id]!, lp_s: finite(safety[id]!), lp_h: finite(helpfulness[id]!) });
    drawn++;
    logprob += logprobs[id]!;
    if (eos.has(id)) return 'stop';
    return one.ids.length >= one.room ? 'length' : null;
  };
  const end = (one: Growing, finishReason: 'stop' | 'length') => {
    experts.close(one.safety);
    experts.close(one.helpfulness);
    const text = promptText(finishReason === 'stop' ? one.ids.slice(0, -1) : one.ids, vocabulary);
    answers[one.index] = { text, tokens: one.tokens, finishReason };
    const tokensPerSecond = (1000 * drawn) / (performance.now() - startedAt);
    progress.update(++done, { figure: -logprob / drawn, tokensPerSecond });
  };
  const open = async (index: number): Promise<void> => {
    const ids = prompts[index]!;
    const [safety, helpfulness] = [experts.open('safety'), experts.open('helpfulness')];
    const positions = decoder.readsPrompt ? ids.length : 1;
    const [s, h] = await Promise.all(
      experts.append([safety, helpfulness].map((sequence) => ({ sequence, ids, want: { positions } }))),
    );
    const promptLogRatios = decoder.readsPrompt ? logRatios(ids, { s: s!, h: h!, vocabulary }) : [];
    const one: Growing = {
      index,
      safety,
      helpfulness,
      decoding: decoder.start({ sampling: shape, promptLogRatios }),
      key: seedKey(sampling.seed + index),
      room: Math.min(sampling.maxTokens, contextLength - ids.length),
      ids: [],
      tokens: [],
    };
    const reason = grow(one, { safety: s!, helpfulness: h! });
    if (reason) end(one, reason);
    else growing.push(one);
  };

  while (next < prompts.length || growing.length > 0) {
    while (growing.length < batch && next < prompts.length) await open(next++);
    const outputs = await Promise.all(
      experts.append(
        growing.flatMap(({ safety, helpfulness, ids }) =>
          [safety, helpfulness].map((sequence) => ({ sequence, ids: ids.slice(-1), reads: 'answer' as const })),
        ),
      ),
    );
    const left: Growing[] = [];
    growing.forEach((one, i) => {
      const reason = grow(one, { safety: outputs[2 * i]!, helpfulness: outputs[2 * i + 1]! });
      if (reason) end(one, reason);
      else left.push(one);
    });
    growing = left;
  }
  progress.stop();
  return answers;
}

function logprobsOf({ row }: Pick<Output, 'row'>): Float64Array {
  if (!('logits' in row)) throw new Error('decoders need whole rows; these experts give only their likeliest tokens');
  const logprobs = logSoftmax(row.logits);
  if (!logprobs) throw new Error('an expert gave a row that is no distribution');
  return logprobs;
}

/** log p_h - log p_s of each token of the prompt that has text, without the first. */
function logRatios(
  ids: readonly number[],
  { s, h, vocabulary }: { s: Output; h: Output; vocabulary: Vocabulary },
): number[] {
  return ids.slice(1).flatMap((id, i) => {
    if (vocabulary.bytesOf(id) === undefined) return [];
    return [logprobsOf(h.earlier[i]!)[id]! - logprobsOf(s.earlier[i]!)[id]!];
  });
}

/** Walks the cumulative sum in the order of ids, as the gate does. */
function draw(logprobs: Float64Array, u: number): number {
  let [passed, last] = [0, -1];
  for (let id = 0; id < logprobs.length; id++) {
    const mass = Math.exp(logprobs[id]!);
    if (mass > 0) last = id;
    passed += mass;
    if (passed > u) return id;
  }
  if (passed > 1 - 1e-9) return last;
  throw new Error(`the decoder's probabilities sum to ${passed}`);
}

function likeliest(logprobs: Float64Array): number {
  let best = 0;
  for (let id = 1; id < logprobs.length; id++) if (logprobs[id]! > logprobs[best]!) best = id;
  return best;
}

const finite = (value: number) => (Number.isFinite(value) ? value : null);
