/** Answers that llama.cpp's own server draws by itself, as streams, and when their tokens came. */
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { SAMPLED } from './drive-engine.ts';
import { TimedStreams } from './timed-streams.ts';

/** Of an answer that is not stopped before. */
const MOST_TOKENS = 600;

/** All answers at once. When each token came: milliseconds, by answer. */
export async function streamLlamaServer(
  url: string,
  { prompts, tokens }: { prompts: readonly (readonly number[])[]; tokens: number },
): Promise<number[][]> {
  const streams = new TimedStreams(prompts.length, { tokens });
  const run = async (prompt: readonly number[], i: number) => {
    const answer = await fetch(`${url}/completion`, {
      method: 'POST',
      signal: streams.enough,
      body: JSON.stringify({
        prompt,
        n_predict: MOST_TOKENS,
        stream: true,
        return_tokens: true,
        ignore_eos: true,
        temperature: SAMPLED.temperature,
        top_p: SAMPLED.topP,
        seed: i,
      }),
    });
    if (!answer.ok) throw new Error(`llama.cpp's server said ${answer.status}: ${await answer.text()}`);
    // fetch's streams are those of Node, under the DOM's types.
    const body = answer.body as ReadableStream;
    for await (const line of createInterface({ input: Readable.fromWeb(body) })) {
      if (!line.startsWith('data: ')) continue;
      const { tokens: ids = [] } = JSON.parse(line.slice('data: '.length)) as { tokens?: number[] };
      for (const _ of ids) streams.token(i);
    }
  };
  await Promise.all(prompts.map((prompt, i) => run(prompt, i).catch(streams.ended)));
  return streams.times;
}
