/** Holds what a server of llama.cpp says of next tokens against what other experts say. */
import type { Experts } from '#gpu-backend/engine/experts.ts';
import { byId, feed } from '#gpu-backend/engine/testing/feed-experts.ts';
import type { ExpertRole } from '#gpu-backend/model/manifest.ts';
import { RemoteEngine } from '#gpu-backend/remote/ask-engine.ts';
import { LLAMA_CPP } from '#gpu-backend/remote/llama-cpp.ts';

/** A server as our driver asks it, with no limit but for hangs. */
export const llamaCppEngine = (url: string, { topK, vocabSize }: { topK: number; vocabSize: number }) =>
  new RemoteEngine({
    ...{ dialect: LLAMA_CPP, urls: [url], model: null, timeoutMs: 600_000, apiKey: null },
    ...{ topK, vocabSize },
  });

/**
 * The largest difference of log-probabilities in nats, over the k likeliest tokens after each
 * prompt and after each of the first `tokens` tokens of a greedy answer.
 *
 * @param topK k; the vocabulary's size compares whole rows
 */
export async function farthestRow(
  url: string,
  {
    experts,
    role,
    prompts,
    tokens,
    topK,
  }: {
    experts: Experts;
    role: ExpertRole;
    prompts: readonly (readonly number[])[];
    tokens: number;
    topK: number;
  },
): Promise<number> {
  const asked = llamaCppEngine(url, { topK, vocabSize: experts.vocabSize });
  const signal = new AbortController().signal;
  let most = 0;
  for (const prompt of prompts) {
    const ids = [...prompt];
    const sequence = experts.open(role);
    let fed = ids.slice();
    for (let i = 0; i < tokens; i++) {
      const wanted = byId((await feed(experts, sequence, fed)).row);
      const found = await asked.nextAt(url, ids, signal);
      for (const [at, id] of found.ids.entries()) {
        most = Math.max(most, Math.abs(found.logprobs[at]! - wanted.get(id)!));
      }
      const [likeliest] = [...wanted].reduce((best, one) => (one[1] > best[1] ? one : best));
      fed = [likeliest];
      ids.push(likeliest);
    }
    experts.close(sequence);
  }
  return most;
}
