import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { type AuditEntry, type AuditEvent, chainEvents, NO_AUDIT, verifyChain } from './audit-chain.ts';

const arbitraryEvents = fc.array(
  fc.record<AuditEvent>({
    at: fc.constant('2026-11-29T00:00:00.000Z'),
    actor: fc.string(),
    action: fc.string(),
    tenant: fc.string(),
    detail: fc.json(),
  }),
  { minLength: 1, maxLength: 6 },
);

/** Changes of one entry that a log must not survive. */
const TAMPERINGS: ((entry: AuditEntry) => Partial<AuditEntry>)[] = [
  ({ at }) => ({ at: `${at} ` }),
  ({ actor }) => ({ actor: `${actor}x` }),
  ({ action }) => ({ action: `${action}x` }),
  ({ tenant }) => ({ tenant: `${tenant}x` }),
  ({ detail }) => ({ detail: `${detail} ` }),
  ({ seq }) => ({ seq: seq + 1 }),
  ({ previous }) => ({ previous: [...previous].toReversed().join('') + previous }),
  ({ hash }) => ({ hash: hash.replace(/./, (digit) => (digit === '0' ? '1' : '0')) }),
];

test('a chain holds however its events are appended, and its head depends on all of them', async () => {
  await fc.assert(
    fc.asyncProperty(arbitraryEvents, fc.nat(6), async (events, cut) => {
      const whole = await chainEvents(NO_AUDIT, events);
      const first = await chainEvents(NO_AUDIT, events.slice(0, cut));
      const second = await chainEvents(first.at(-1) ?? NO_AUDIT, events.slice(cut));
      expect([...first, ...second]).toEqual(whole);
      const head = whole.at(-1)?.hash;
      expect(await verifyChain(whole)).toEqual({ valid: true, entries: events.length, head, problem: null });
    }),
  );
});

test('a change of any field of any entry is found at that entry or at the next', async () => {
  await fc.assert(
    fc.asyncProperty(arbitraryEvents, fc.nat(), fc.constantFrom(...TAMPERINGS), async (events, where, tamper) => {
      const chain = await chainEvents(NO_AUDIT, events);
      const index = where % chain.length;
      const changed = chain.map((entry, each) => (each === index ? { ...entry, ...tamper(entry) } : entry));
      const { valid, problem } = await verifyChain(changed);
      expect(valid).toBe(false);
      expect([index + 1, index + 2]).toContain(problem?.seq);
    }),
  );
});

test('an entry that is left out, moved or put in twice is found, and so is an end that was cut off', async () => {
  await fc.assert(
    fc.asyncProperty(arbitraryEvents, fc.nat(), async (events, where) => {
      const chain = await chainEvents(NO_AUDIT, [...events, ...events]);
      const head = chain.at(-1)!;
      const index = where % (chain.length - 1);
      const broken = [
        chain.toSpliced(index, 1),
        chain.toSpliced(index, 0, chain[index]!),
        chain.toSpliced(index, 2, chain[index + 1]!, chain[index]!),
      ];
      for (const each of broken) expect((await verifyChain(each)).valid).toBe(false);
      const cut = chain.slice(0, -1);
      expect((await verifyChain(cut)).valid).toBe(true);
      expect(await verifyChain(cut, head)).toMatchObject({ valid: false, problem: { seq: chain.length } });
    }),
  );
});

test('a chain that somebody has written anew is not the one whose head was known', async () => {
  const event = { at: '', actor: 'operator', action: 'tenant-put', tenant: 'acme', detail: '{}' };
  const known = (await chainEvents(NO_AUDIT, [event, event])).at(-1)!;
  const anew = await chainEvents(NO_AUDIT, [{ ...event, actor: 'somebody' }, event, event]);
  expect(await verifyChain(anew)).toMatchObject({ valid: true });
  expect(await verifyChain(anew, known)).toMatchObject({ valid: false, problem: { seq: 2 } });
});
