import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Message } from '#shared/protocol/generate.ts';
import { REGIONS } from '#shared/protocol/regions.ts';
import { type AffinityNode, createLoad, estimatedRequests, orderByAffinity } from './affinity.ts';
import { latencyClass } from './latency-class.ts';
import { rankByRendezvous } from './rendezvous-hash.ts';

const nodes = Array.from({ length: 5 }, (_, i) => ({ url: `http://10.0.0.${i}:8788` }));
const IDLE = { of: () => 0 };
const order = (messages: readonly Message[], load: { of(url: string): number } = IDLE) =>
  orderByAffinity(nodes, { messages, load }).map(({ url }) => url);

const system = (content: string): Message => ({ role: 'system', content });
const user = (content: string): Message => ({ role: 'user', content });
const assistant = (content: string): Message => ({ role: 'assistant', content });

describe('goes to the same backend:', () => {
  test('a conversation as it goes on', () => {
    const turns = [user('Hi'), assistant('Hello'), user('And now?')];
    expect(order(turns)).toEqual(order(turns.slice(0, 1)));
    expect(order([system('Be brief.'), ...turns])).toEqual(order([system('Be brief.'), user('Hi')]));
  });

  test('every conversation under the same system prompt', () => {
    for (const question of ['Hi', 'What?', 'Why?']) {
      expect(order([system('Be brief.'), user(question)])).toEqual(order([system('Be brief.'), user('x')]));
    }
  });
});

test('other system prompts, and other questions without one, spread over all backends', () => {
  const first = (make: (i: number) => Message[]) =>
    new Set(Array.from({ length: 100 }, (_, i) => order(make(i))[0])).size;
  expect(first((i) => [system(`Prompt ${i}`), user('Hi')])).toBe(nodes.length);
  expect(first((i) => [user(`Question ${i}`)])).toBe(nodes.length);
});

test('however popular a system prompt, no backend gets much more than its share, and an idle one is found', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 60 }), fc.array(fc.nat(), { maxLength: 40 }), (requests, endings) => {
      const load = createLoad();
      const messages = [system('Be brief.'), user('Hi')];
      const ends = Array.from({ length: requests }, () => load.begin(order(messages, load)[0]!));
      const counts = nodes.map(({ url }) => load.of(url));
      expect(counts.reduce((a, b) => a + b)).toBe(requests);
      expect(Math.max(...counts)).toBeLessThanOrEqual(Math.ceil((1.25 * requests) / nodes.length));
      for (const i of endings) ends[i % requests]!();
      const left = requests - new Set(endings.map((i) => i % requests)).size;
      expect(nodes.reduce((sum, { url }) => sum + load.of(url), 0)).toBe(left);
    }),
  );
});

test('one request at a time always has the same backend, and a full one is still there to be tried last', () => {
  const load = createLoad();
  const messages = [system('Be brief.'), user('Hi')];
  const [first, second] = order(messages, load);
  const end = load.begin(first!);
  load.begin(first!);
  expect(order(messages, load)[0]).toBe(second);
  expect(order(messages, load)).toContain(first);
  end();
  end();
  expect(load.of(first!)).toBe(1);
});

describe('what a backend has under way', () => {
  const reported = (requests: number, own: number) => ({ url: 'b', reported: { requests, own, capacity: 16 } });

  test('is what it last said, and what this isolate has begun and ended since', () => {
    expect(estimatedRequests({ url: 'b' }, { of: () => 3 })).toBe(3);
    // Of the five that it had then, two were ours. Now we have four, so it has seven.
    expect(estimatedRequests(reported(5, 2), { of: () => 4 })).toBe(7);
    expect(estimatedRequests(reported(5, 2), { of: () => 0 })).toBe(3);
  });

  test('is never less than what we have there ourselves', () => {
    fc.assert(
      fc.property(fc.nat(100), fc.nat(100), fc.nat(100), (requests, then, own) => {
        expect(estimatedRequests(reported(requests, then), { of: () => own })).toBeGreaterThanOrEqual(own);
      }),
    );
  });
});

/** Backends of which we know region, capacity and load. */
const reporting = fc
  .uniqueArray(
    fc.record({
      url: fc.webUrl(),
      region: fc.option(fc.constantFrom(...REGIONS)),
      reported: fc.option(
        fc.record({ requests: fc.nat(40), own: fc.constant(0), capacity: fc.option(fc.integer({ min: 1, max: 32 })) }),
        { nil: undefined },
      ),
    }),
    { selector: ({ url }) => url, minLength: 1, maxLength: 8 },
  )
  .map((all): AffinityNode[] => all);
const conversation = fc.string().map((text): Message[] => [user(text)]);

describe('among backends that say where and how busy they are', () => {
  const busy = (node: AffinityNode) => estimatedRequests(node, IDLE);
  const isFull = (node: AffinityNode) => busy(node) >= (node.reported?.capacity ?? Number.POSITIVE_INFINITY);

  test('each is in the order once', () => {
    fc.assert(
      fc.property(reporting, conversation, fc.option(fc.constantFrom(...REGIONS)), (all, messages, from) => {
        const ordered = orderByAffinity(all, { messages, load: IDLE, from });
        expect(ordered.map(({ url }) => url).sort()).toEqual(all.map(({ url }) => url).sort());
      }),
    );
  });

  test('one that is full comes after all that are not, and among those a nearer one comes first', () => {
    fc.assert(
      fc.property(reporting, conversation, fc.constantFrom(...REGIONS), (all, messages, from) => {
        const ordered = orderByAffinity(all, { messages, load: IDLE, from });
        const full = ordered.map(isFull);
        expect(full).toEqual(full.toSorted((a, b) => Number(a) - Number(b)));
        const far = ordered.filter((node) => !isFull(node)).map(({ region = null }) => latencyClass(from, region));
        expect(far).toEqual(far.toSorted());
      }),
    );
  });

  test('a conversation leaves its home only if that has more than its share, and for the less loaded of two', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.webUrl(), { minLength: 3, maxLength: 8 }),
        fc.infiniteStream(fc.nat(12)),
        conversation,
        (urls, loads, messages) => {
          const all = urls.map(
            (url): AffinityNode => ({ url, reported: { requests: loads.next().value!, own: 0, capacity: 64 } }),
          );
          const ranked = rankByRendezvous(all, { key: JSON.stringify(messages), nameOf: ({ url }) => url });
          const total = all.reduce((sum, node) => sum + busy(node), 0);
          const hasRoom = (node: AffinityNode) => busy(node) < Math.ceil((1.25 * (total + 1)) / all.length);
          const [home] = ranked;
          const [first] = orderByAffinity(all, { messages, load: IDLE });
          if (hasRoom(home!)) {
            expect(first).toBe(home);
            return;
          }
          const two = ranked.filter(hasRoom).slice(0, 2);
          expect(two).toContain(first);
          for (const other of two) expect(busy(first!)).toBeLessThanOrEqual(busy(other));
        },
      ),
    );
  });

  test('a larger backend gets a larger share', () => {
    const large = { url: 'http://large', reported: { requests: 0, own: 0, capacity: 24 } };
    const small = { url: 'http://small', reported: { requests: 0, own: 0, capacity: 8 } };
    const load = createLoad();
    for (let i = 0; i < 24; i++)
      load.begin(orderByAffinity([large, small], { messages: [user(`${i}`)], load })[0]!.url);
    // Three quarters would be even; with a quarter more, the small one has a third.
    expect(load.of(large.url)).toBeGreaterThanOrEqual(2 * load.of(small.url));
  });
});
