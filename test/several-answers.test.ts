/** `n`: several answers to one request, each with draws, a budget and a receipt of its own. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ChatCompletion } from '#shared/api/chat-answer.ts';
import { inspectReceipt } from '#shared/protocol/inspect-receipt.ts';
import { sha256 } from '#workers/local/seed-demo-tenants.ts';
import { type ByteStack, CHAT, startByteStack, textOf } from './byte-stack.ts';

let stack: ByteStack;
beforeAll(async () => {
  stack = await startByteStack({
    plain: { floor: 0.3, budget: 12 },
    cached: { floor: 0.3, budget: 12, cache: { answers: true } },
    counted: { floor: 0, budget: null, limits: { tokens_per_minute: 100_000 } },
    tried: { floor: 0, budget: null, limits: { tries_per_prompt_per_minute: 5 } },
  });
});
afterAll(() => stack?.close());

describe('several answers', () => {
  test('have draws and receipts of their own, and the first are those of a request for fewer', async () => {
    const three = await stack.chat({ n: 3 });
    expect(three.choices.map(({ index }) => index)).toEqual([0, 1, 2]);
    const texts = three.choices.map(({ message }) => message.content);
    expect(new Set(texts).size).toBe(3);
    const [one, two] = [await stack.chat(), await stack.chat({ n: 2 })];
    expect([textOf(one), ...two.choices.map(({ message }) => message.content)]).toEqual([
      texts[0],
      ...texts.slice(0, 2),
    ]);
    const receipts = await Promise.all(
      three.choices.map(({ plimsoll }) => stack.receiptOf((plimsoll ?? three.plimsoll).receipt)),
    );
    for (const [choice, receipt] of receipts.entries()) {
      expect(receipt).toMatchObject({ choice, choices: 3, answer_digest: sha256(texts[choice]!) });
    }
    const drawn = receipts.reduce((sum, { usage }) => sum + usage.completion_tokens, 0);
    expect(three.usage).toMatchObject({
      prompt_tokens: one.usage.prompt_tokens,
      completion_tokens: drawn,
      total_tokens: one.usage.prompt_tokens + drawn,
    });
    const inspected = await inspectReceipt(three.choices[1]!.plimsoll!.receipt!, {
      jwks: stack.jwks,
      prompt: JSON.stringify({ ...CHAT, seed: 7, n: 3 }),
      answer: texts[1]!,
    });
    expect(inspected.checks.filter(({ verdict }) => verdict !== 'holds')).toEqual([]);
  });

  test('come in one stream, each under its index, as OpenAI’s client reads it', async () => {
    const whole = await stack.chat({ n: 3 });
    const stream = await stack.client().chat.completions.create({
      ...CHAT,
      messages: [{ role: 'user', content: 'Tell me about anchors.' }],
      ...{ n: 3, seed: 7, stream: true, stream_options: { include_usage: true } },
    });
    const texts = ['', '', ''];
    const ends: (string | null)[] = [null, null, null];
    let usage: unknown;
    for await (const chunk of stream) {
      for (const { index, delta, finish_reason } of chunk.choices) {
        texts[index] += delta.content ?? '';
        ends[index] ??= finish_reason;
      }
      usage = chunk.usage ?? usage;
    }
    expect(texts).toEqual(whole.choices.map(({ message }) => message.content));
    expect(ends).toEqual(['length', 'length', 'length']);
    expect(usage).toMatchObject({ completion_tokens: 48, prompt_tokens: whole.usage.prompt_tokens });
  });

  test('all go on elsewhere if a backend breaks off, each from its own token', async () => {
    const asked = { n: 3, seed: 21, max_tokens: 40 };
    const whole = await stack.chat(asked);
    for (const after of [1, 2, 50]) {
      const before = stack.lines.reduce((sum, { broken }) => sum + broken, 0);
      for (const line of stack.lines) line.breakAfter = after;
      const again = await stack.chat(asked);
      for (const line of stack.lines) line.breakAfter = null;
      expect(
        stack.lines.reduce((sum, { broken }) => sum + broken, 0),
        `after ${after}`,
      ).toBeGreaterThan(before);
      expect(again.choices.map(({ message }) => message.content)).toEqual(
        whole.choices.map(({ message }) => message.content),
      );
      for (const [choice, { plimsoll }] of again.choices.entries()) {
        const receipt = await stack.receiptOf((plimsoll ?? again.plimsoll).receipt);
        expect(receipt).toMatchObject({ choice, choices: 3, usage: { completion_tokens: 40 } });
        if (after === 50) expect(receipt.parts.length).toBeGreaterThan(1);
      }
    }
  });

  test('are kept and given again as they were, log-probabilities too', async () => {
    const asked = { n: 2, logprobs: true, top_logprobs: 1, seed: 5 };
    const first = await stack.post('chat/completions', { ...CHAT, ...asked }, 'pk-cached');
    const again = await stack.post('chat/completions', { ...CHAT, ...asked }, 'pk-cached');
    expect([first, again].map(({ headers }) => headers.get('x-plimsoll-cache'))).toEqual(['miss', 'hit']);
    const [made, given] = [ChatCompletion.parse(await first.json()), ChatCompletion.parse(await again.json())];
    const said = ({ choices }: ChatCompletion) => choices.map(({ message, logprobs }) => ({ message, logprobs }));
    expect(said(given)).toEqual(said(made));
    const receipts = ({ plimsoll, choices }: ChatCompletion) => [plimsoll.receipt, choices[1]?.plimsoll?.receipt];
    expect(receipts(given)).toEqual(receipts(made));
    expect(given.choices[1]?.plimsoll?.cache?.receipt).toBeDefined();
    const other = await stack.post('chat/completions', { ...CHAT, ...asked, presence_penalty: 0.5 }, 'pk-cached');
    expect(other.headers.get('x-plimsoll-cache')).toBe('miss');
  });

  test('are reserved and charged for, and are no way round a limit of tries', async () => {
    const spending = async (route: string, body: object) => {
      const answer = await stack.post(route, { ...CHAT, ...body }, 'pk-counted');
      const { usage } = (await answer.json()) as ChatCompletion;
      return { usage, left: Number(answer.headers.get('x-ratelimit-remaining-tokens')) };
    };
    // 22 bytes of prompt, what a template adds, and 16 tokens for each answer.
    const prompt = 22 + 64 + 16;
    const three = await spending('chat/completions', { n: 3 });
    expect(three.left).toBe(100_000 - prompt - 3 * 16);
    expect(three.usage.completion_tokens).toBe(48);
    const one = await spending('chat/completions', {});
    expect(one.left).toBe(100_000 - three.usage.total_tokens - prompt - 16);
    const plain = { messages: undefined, prompt: ['ab', 'cde'], n: 2, max_tokens: 4 };
    const two = await spending('completions', plain);
    expect(two.left).toBe(100_000 - three.usage.total_tokens - one.usage.total_tokens - 2 * 80 - 5 - 16);
    expect(two.usage).toMatchObject({ prompt_tokens: 5, completion_tokens: 16 });
    const last = await spending('chat/completions', {});
    const spent = three.usage.total_tokens + one.usage.total_tokens + two.usage.total_tokens;
    expect(last.left).toBe(100_000 - spent - prompt - 16);
    const tried = await stack.refusal('chat/completions', { ...CHAT, n: 2 }, 'pk-tried');
    expect(tried).toMatchObject({ status: 400, code: 'unsupported_value', param: 'n' });
  });
});
