/** What a ledger tells of budgets. */
import { expect, test } from 'vitest';
import { NO_LIMITS } from '../objects/tenant-account-contract.ts';
import { startLedger } from '../testing/start-ledger.ts';

test('a budget is what the whole tenant may spend, however little one of its keys may', () => {
  const { reserve, settle, budgets } = startLedger();
  const caps = { ...NO_LIMITS, tokens_per_day: 1_000 };
  reserve({ tokens_per_day: 10 }, { id: 'a', tokens: 10, caps });
  settle('a', 10);
  expect(reserve({ tokens_per_day: 10 }, { tokens: 10, caps }).outcome).toBe('denied');
  expect(budgets).toEqual([{ window: '2026-11-29', cap: 1_000, setBy: 'operator', settled: 10, full: false }]);
  expect(reserve({ tokens_per_day: 1_000 }, { tokens: 991, caps }).outcome).toBe('denied');
  expect(budgets.at(-1)).toEqual({ window: '2026-11-29', cap: 1_000, setBy: 'operator', settled: 10, full: true });
});

test('a budget that the tenant has set is told apart from the operator’s, and hides it nowhere', () => {
  const { reserve, settle, budgets } = startLedger();
  const both = {
    caps: { tokens_per_day: 50, tokens_per_month: 900 },
    operatorCaps: { tokens_per_day: null, tokens_per_month: 1_000 },
  };
  reserve({}, { id: 'a', tokens: 30, ...both });
  settle('a', 30);
  const [day, month] = ['2026-11-29', '2026-11'].map((window) => ({ window, settled: 30, full: false }));
  expect(budgets.splice(0)).toEqual([
    { ...day, cap: 50, setBy: 'tenant' },
    { ...month, cap: 1_000, setBy: 'operator' },
    { ...month, cap: 900, setBy: 'tenant' },
  ]);
  expect(reserve({ tokens_per_day: 50 }, { tokens: 21, ...both }).outcome).toBe('denied');
  expect(budgets).toEqual([{ ...day, cap: 50, setBy: 'tenant', full: true }]);
});

test('a budget that is no more is not told of', () => {
  const { reserve, settle, budgets } = startLedger();
  reserve({ tokens_per_day: 100 }, { id: 'a', tokens: 60 });
  settle('a', 60);
  budgets.length = 0;
  // Without limits nothing is reserved.
  settle('b', 60, { unlimited: true });
  expect(budgets).toEqual([]);
});

test('a budget is told of, though the settlement comes when its reservation is gone', () => {
  const { reserve, settle, budgets } = startLedger();
  reserve({ tokens_per_day: 100 }, { id: 'a', tokens: 60 });
  settle('a', 60);
  settle('late', 30);
  expect(budgets.at(-1)).toMatchObject({ window: '2026-11-29', cap: 100, settled: 90 });
});
