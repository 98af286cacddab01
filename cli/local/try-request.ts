import { setTimeout as sleep } from 'node:timers/promises';

/** By now every part is running, so nothing slow is left. A stack that takes longer is broken. */
const PATIENCE_MS = 20_000;

/**
 * Asks the whole stack for one token, as a client would. If none comes in time, throws an error
 * that quotes the last answer.
 */
export async function tryRequest(url: string, { key, model }: { key: string; model: string }): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const answer = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello' }], max_tokens: 1 }),
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    const text = await answer.text();
    if (answer.ok) return;
    if (answer.status < 500 || Date.now() > deadline) {
      throw new Error(`the first request was answered with ${answer.status}: ${text}`);
    }
    await sleep(250);
  }
}
