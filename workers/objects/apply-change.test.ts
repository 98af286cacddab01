/** What the integration tests do not reach: long times, and many keys. */
import { describe, expect, test } from 'vitest';
import type { Applied, Known } from './applied.ts';
import { applyChange, MAX_STORED_CHARACTERS } from './apply-change.ts';
import type { ActivationRecord, KeyDraft, TenantChange, TenantState } from './tenant-state.ts';

const known: Known = {
  now: '2026-11-29T12:00:00.000Z',
  actor: 'operator',
  documentOf: () => null,
  activation: () => null,
  nextActivation: 1,
  lastAudit: null,
  storedCharacters: 0,
  changeByKeys: () => null,
};
const policy = { version: 'v', document: '{}' };
const draft = (id: string, expires_at: string | null = null): KeyDraft => ({
  ...{ id, sha256: `digest of ${id}`, scopes: ['inference'], expires_at, replaces: null, policy: null },
});
function stateOf(applied: Applied): TenantState {
  if (applied.refused !== null) throw new Error(applied.refused.message);
  return applied.state;
}
const tenantWith = (keys: KeyDraft[]) =>
  stateOf(applyChange(null, { type: 'put', name: 'A', plan: null, policy, keys, onlyNew: true }, known));
const idsAfter = (state: TenantState, id: string) =>
  stateOf(applyChange(state, { type: 'key-create', key: draft(id) }, known)).keys.map((key) => key.id);

test('a key that expired a month ago makes room for a new one, a younger one stays', () => {
  const state = tenantWith([
    draft('forever'),
    draft('long-gone', '2026-10-29T12:00:00.000Z'),
    draft('just-gone', '2026-11-29T11:59:59.999Z'),
  ]);
  expect(idsAfter(state, 'new')).toEqual(['forever', 'just-gone', 'new']);
});

test('a tenant has at most 64 keys, and those that make room do not count', () => {
  const many = Array.from({ length: 64 }, (_, index) => draft(`key-${index}`));
  const full = applyChange(tenantWith(many), { type: 'key-create', key: draft('one-more') }, known);
  expect(full.refused).toMatchObject({ code: 'conflict', message: expect.stringContaining('at most 64 keys') });
  const [, ...rest] = many;
  const state = tenantWith([...rest, draft('long-gone', '2026-01-01T00:00:00.000Z')]);
  expect(idsAfter(state, 'one-more')).toHaveLength(64);
});

test('a rotation never makes the old key live longer than it would have', () => {
  const state = tenantWith([draft('old', '2026-11-29T12:00:30.000Z')]);
  const rotate = (oldExpiresAt: string) => {
    const key = { id: 'new', sha256: 'digest of new', expires_at: null };
    const { keys } = stateOf(applyChange(state, { type: 'key-rotate', id: 'old', key, oldExpiresAt }, known));
    return keys.find(({ id }) => id === 'old')?.expires_at;
  };
  expect(rotate('2026-11-29T12:00:10.000Z')).toBe('2026-11-29T12:00:10.000Z');
  expect(rotate('2026-11-29T13:00:00.000Z')).toBe('2026-11-29T12:00:30.000Z');
});

test('the audit log names the keys that a put has changed, though their ids stay', () => {
  const state = tenantWith([draft('same'), draft('other')]);
  const keys: KeyDraft[] = [draft('same'), { ...draft('other'), scopes: ['admin'] }];
  const applied = applyChange(state, { type: 'put', name: 'A', plan: null, policy, keys, onlyNew: false }, known);
  expect(applied).toMatchObject({
    detail: { keys: { from: ['same', 'other'], to: ['same', 'other'], changed: ['other'] } },
  });
});

test('a tenant stores no more policies than one line of a backup can hold', () => {
  const state = tenantWith([]);
  const drafted = (length: number, storedCharacters: number) => {
    const change = { type: 'policy-draft', policy: { version: 'new', document: 'x'.repeat(length) } } as const;
    return applyChange(state, change, { ...known, storedCharacters }).refused?.code ?? null;
  };
  expect(drafted(10, MAX_STORED_CHARACTERS - 10)).toBeNull();
  expect(drafted(11, MAX_STORED_CHARACTERS - 10)).toBe('conflict');
});

describe('a key that a key makes', () => {
  const owner: KeyDraft = { ...draft('owner', '2026-12-24T00:00:00.000Z'), scopes: ['admin', 'inference'] };
  const byOwner: Known = { ...known, actor: 'key:owner' };
  const state = tenantWith([
    owner,
    { ...draft('reader'), scopes: ['read'] },
    draft('writer', '2026-12-01T00:00:00.000Z'),
  ]);
  const create = (key: Partial<KeyDraft>, by = byOwner, before = state) =>
    applyChange(before, { type: 'key-create', key: { ...draft('new', owner.expires_at), ...key } }, by).refused;
  const rotate = (id: string, expires_at: string | null, by = byOwner, before = state) => {
    const key = { id: 'new', sha256: 'digest of new', expires_at };
    return applyChange(before, { type: 'key-rotate', id, key, oldExpiresAt: known.now }, by).refused;
  };

  test('lives no longer than its maker', () => {
    const tooLong = { code: 'permission_denied', param: 'expires_at' };
    expect(create({})).toBeNull();
    expect(create({ expires_at: null })).toMatchObject(tooLong);
    expect(create({ expires_at: '2026-12-24T00:00:00.001Z' })).toMatchObject(tooLong);
    expect(rotate('owner', null)).toMatchObject(tooLong);
    expect(rotate('writer', null)).toMatchObject(tooLong);
    expect(rotate('writer', owner.expires_at)).toBeNull();
    expect(create({ expires_at: null }, known)).toBeNull();
  });

  test('has no scope that its maker lacks; whoever may change may read', () => {
    const tooWide = { code: 'permission_denied', param: 'scopes' };
    const admin = tenantWith([{ ...owner, scopes: ['admin'] }, draft('writer')]);
    expect(create({ scopes: ['read', 'inference'] })).toBeNull();
    expect(create({ scopes: ['read'] }, byOwner, admin)).toBeNull();
    expect(create({ scopes: ['inference'] }, byOwner, admin)).toMatchObject(tooWide);
    // Whoever may change may not for that read what people have asked, nor let another read it.
    expect(create({ scopes: ['prompts'] }, byOwner, admin)).toMatchObject(tooWide);
    const reads = tenantWith([
      { ...owner, scopes: ['admin'] },
      { ...draft('writer'), scopes: ['prompts'] },
    ]);
    expect(rotate('writer', owner.expires_at, byOwner, reads)).toMatchObject(tooWide);
    expect(create({ scopes: ['prompts'] }, byOwner, tenantWith([{ ...owner, scopes: ['prompts'] }]))).toBeNull();
    // Whoever rotates a key learns the new one.
    expect(rotate('writer', owner.expires_at, byOwner, admin)).toMatchObject({ code: 'permission_denied' });
    expect(rotate('writer', null, known, admin)).toBeNull();
  });

  test('is not made by one that is gone', () => {
    expect(create({}, { ...known, actor: 'key:revoked' })).toMatchObject({ code: 'permission_denied' });
  });

  test('was joined with the policy that its maker has', () => {
    const strict = tenantWith([{ ...owner, policy: { version: 'strict', document: '{}' } }]);
    const under = (version: string | null) =>
      applyChange(
        strict,
        { type: 'key-create', key: { ...draft('new', owner.expires_at), policy }, under: version },
        byOwner,
      ).refused;
    expect(under('strict')).toBeNull();
    expect(under(null)).toMatchObject({ code: 'conflict' });
  });

  test('in place of another was joined with the policy that the other has', () => {
    const [strict, stricter] = ['strict', 'stricter'].map((version) => ({ version, document: '{}' }));
    const before = tenantWith([
      { ...owner, policy: strict! },
      { ...draft('worker'), policy: stricter! },
    ]);
    const key = { id: 'new', sha256: 'digest of new', expires_at: owner.expires_at };
    const rotated = (joined: object, of: string | null) => {
      const change = { type: 'key-rotate', id: 'worker', key: { ...key, ...joined }, oldExpiresAt: known.now } as const;
      return applyChange(before, { ...change, of, under: 'strict' }, byOwner).refused;
    };
    expect(rotated({ policy: strict }, 'stricter')).toBeNull();
    // It was tightened while the two were joined.
    expect(rotated({ policy: strict }, 'loose')).toMatchObject({
      code: 'conflict',
      message: expect.stringContaining("'worker' has just changed"),
    });
    // It had its maker's, so there was nothing to join, and has another now.
    expect(rotated({}, 'strict')).toMatchObject({ code: 'conflict' });
  });
});

describe('the keys of a tenant', () => {
  const state = tenantWith([{ ...draft('owner'), scopes: ['admin', 'inference'] }]);
  /** With these changes made before, each so many seconds ago, the latest first. */
  const refusal = (
    ago: number[],
    { actor = 'key:owner', change = { type: 'key-create', key: draft('new') } as TenantChange } = {},
  ) => {
    const at = ago.map((seconds) => new Date(Date.parse(known.now) - seconds * 1_000).toISOString());
    return applyChange(state, change, { ...known, actor, changeByKeys: (nth) => at[nth - 1] ?? null }).refused;
  };
  const tooMany = (retryAfterSeconds: number) => ({ code: 'rate_limit_exceeded', retryAfterSeconds });
  const minute = Array.from({ length: 30 }, (_, index) => index);
  const day = Array.from({ length: 500 }, (_, index) => (index + 1) * 100);

  test('make only so many changes a minute and a day, the operator any number, and the wait is true', () => {
    expect(refusal(minute.slice(1))).toBeNull();
    expect(refusal(minute)).toMatchObject(tooMany(31));
    expect(refusal([...minute.slice(1), 60])).toBeNull();
    expect(refusal(day)).toMatchObject(tooMany(24 * 60 * 60 - 50_000));
    expect(refusal(day.slice(1))).toBeNull();
    expect(refusal([...minute, ...day])).toMatchObject(tooMany(24 * 60 * 60 - 47_000));
    expect(refusal([...minute, ...day], { actor: 'operator' })).toBeNull();
  });

  test('are told of the bound that holds them up for longer', () => {
    // The 500th change was almost a day ago, and there were 30 in the last 20 seconds.
    const ago = [...minute.map((seconds) => Math.min(seconds, 20)), ...Array(470).fill(24 * 60 * 60 - 10)];
    expect(refusal(ago)).toMatchObject({
      ...tooMany(40),
      message: expect.stringContaining('at most 30 changes in a minute'),
    });
  });

  test('can always revoke a key, go back to an earlier version and erase what was kept', () => {
    const all = [...minute, ...day];
    expect(refusal(all, { change: { type: 'key-revoke', id: 'owner' } })).toBeNull();
    expect(refusal(all, { change: { type: 'policy-rollback' } })).toMatchObject({ code: 'conflict' });
    expect(refusal(all, { change: { type: 'prompts-erase', prompts: 1 } })).toBeNull();
    expect(refusal(all, { change: { type: 'prompts-read', prompts: 1 } })).toMatchObject({
      code: 'rate_limit_exceeded',
    });
  });
});

describe('a canary that ends', () => {
  const running = { ...tenantWith([]), canary: { version: 'next', share: 0.1 } };

  test('by a rollback is in the history', () => {
    expect(applyChange(running, { type: 'policy-rollback' }, { ...known, nextActivation: 7 })).toMatchObject({
      state: { canary: null, policy_version: 'v', activation: 1 },
      activation: { seq: 7, version: 'v', share: 1 },
    });
  });

  test('because the active version is activated is in the history, and the next rollback goes further back', () => {
    const records = new Map<number, ActivationRecord>();
    let state = tenantWith([]);
    const make = (change: TenantChange) => {
      const applied = applyChange(state, change, {
        ...known,
        documentOf: () => '{}',
        activation: (seq) => records.get(seq) ?? null,
        nextActivation: records.size + 1,
      });
      state = stateOf(applied);
      if (applied.refused === null && applied.changed && applied.activation !== null) {
        records.set(applied.activation.seq, applied.activation);
      }
    };
    records.set(1, { seq: 1, at: known.now, actor: 'operator', version: 'v', share: 1, previous: null });
    make({ type: 'policy-activate', version: 'w', share: 1 });
    make({ type: 'policy-activate', version: 'x', share: 0.1 });
    make({ type: 'policy-activate', version: 'w', share: 1 });
    expect([...records.values()].map(({ version }) => version)).toEqual(['v', 'w', 'x', 'w']);
    make({ type: 'policy-rollback' });
    expect(state).toMatchObject({ policy_version: 'v', canary: null });
  });

  test('by a put is in the history and in the audit log', () => {
    const put = { type: 'put', name: 'A', plan: null, policy, keys: null, onlyNew: false } as const;
    const canary = { from: { version: 'next', share: 0.1 }, to: null };
    expect(applyChange(running, put, { ...known, nextActivation: 7 })).toMatchObject({
      activation: { seq: 7, version: 'v', share: 1 },
      detail: { canary },
    });
    const other = { ...put, policy: { version: 'w', document: '{}' } };
    expect(applyChange(running, other, known)).toMatchObject({ detail: { canary } });
  });

  test('with its tenant is in the audit log', () => {
    expect(applyChange(running, { type: 'delete' }, known)).toMatchObject({
      detail: { canary: { from: { version: 'next', share: 0.1 }, to: null } },
    });
  });
});
