import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FairQueue } from './fair-queue.ts';

const QUANTUM = 50;
type Item = { name: string; tenant: string; cost: number };

const tenants = fc.constantFrom('a', 'b', 'c', 'd');
const costs = fc.integer({ min: 1, max: 300 });

describe('a fair queue', () => {
  test('gives every item once, each tenant’s in order, and is never idle while one waits', () => {
    const moves = fc.array(
      fc.oneof(
        fc.record({ move: fc.constant('push' as const), tenant: tenants, cost: costs }),
        fc.constant({ move: 'take' as const }),
        fc.record({ move: fc.constant('remove' as const), at: fc.nat() }),
      ),
      { maxLength: 120 },
    );
    fc.assert(
      fc.property(moves, (all) => {
        const queue = new FairQueue<Item>(QUANTUM);
        let model: Item[] = [];
        all.forEach((move, i) => {
          if (move.move === 'push') {
            const item = { name: `${i}`, tenant: move.tenant, cost: move.cost };
            queue.push(item, item);
            model.push(item);
          } else if (move.move === 'remove' && model.length > 0) {
            const gone = model[move.at % model.length]!;
            queue.remove((item) => item === gone);
            model = model.filter((item) => item !== gone);
          } else if (move.move === 'take') {
            const order = queue.order();
            const next = queue.peek();
            expect(queue.peek()).toBe(next);
            expect(order[0]).toBe(next);
            expect(queue.take()).toBe(next);
            expect(next === undefined).toBe(model.length === 0);
            if (next === undefined) return;
            expect(next).toBe(model.find(({ tenant }) => tenant === next.tenant));
            model = model.filter((item) => item !== next);
            expect(queue.order()).toEqual(order.slice(1));
          }
          expect(queue.size).toBe(model.length);
        });
        const rest = queue.order();
        expect(new Set(rest)).toEqual(new Set(model));
        expect(rest.map(() => queue.take())).toEqual(rest);
        expect(queue.take()).toBeUndefined();
      }),
    );
  });

  test('tells the order as it is after a turn has passed', () => {
    const queue = new FairQueue<Item>(QUANTUM);
    for (const name of ['a', 'b']) {
      const item = { name, tenant: name, cost: 3 * QUANTUM };
      queue.push(item, item);
    }
    queue.push({ name: 'b2', tenant: 'b', cost: 1 }, { tenant: 'b', cost: 1 });
    expect(queue.order().map(({ name }) => name)).toEqual(['a', 'b', 'b2']);
    expect(queue.take((tenant) => tenant === 'b')?.name).toBe('b');
    const told = queue.order();
    expect(told.map(() => queue.take())).toEqual(told);
  });

  test('gives two waiting tenants the same at every moment, to within a quantum and the largest request', () => {
    const backlog = fc.array(costs, { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(fc.array(backlog, { minLength: 2, maxLength: 5 }), (backlogs) => {
        const queue = new FairQueue<Item>(QUANTUM);
        backlogs.forEach((own, i) => {
          for (const cost of own) queue.push({ name: '', tenant: `${i}`, cost }, { tenant: `${i}`, cost });
        });
        const left = backlogs.map(({ length }) => length);
        const given = backlogs.map(() => 0);
        const largest = Math.max(...backlogs.flat());
        while (left.every((count) => count > 0)) {
          const { tenant, cost } = queue.take()!;
          given[Number(tenant)]! += cost;
          left[Number(tenant)]!--;
          expect(Math.max(...given) - Math.min(...given)).toBeLessThanOrEqual(QUANTUM + largest);
        }
      }),
    );
  });

  test('gives a tenant no credit for time away', () => {
    const queue = new FairQueue<Item>(QUANTUM);
    const push = (tenant: string, cost: number) => {
      const item = { name: '', tenant, cost };
      queue.push(item, item);
    };
    for (let i = 0; i < 50; i++) push('always', 50);
    push('now and then', 50);
    for (let i = 0; i < 20; i++) queue.take();
    for (let i = 0; i < 20; i++) push('now and then', 50);
    const taken = Array.from({ length: 20 }, () => queue.take()!.tenant);
    expect(taken.filter((tenant) => tenant === 'always')).toHaveLength(10);
  });

  test('lets a tenant that may not take for a while catch up afterwards, and stops nobody meanwhile', () => {
    const queue = new FairQueue<Item>(QUANTUM);
    const given = { a: 0, b: 0 };
    for (let i = 0; i < 100; i++) {
      for (const tenant of ['a', 'b']) queue.push({ name: '', tenant, cost: 60 }, { tenant, cost: 60 });
    }
    const take = (mayTake?: (tenant: string) => boolean) => {
      const next = queue.peek(mayTake);
      expect(queue.take(mayTake)).toBe(next);
      given[next!.tenant as 'a' | 'b'] += next!.cost;
    };
    for (let i = 0; i < 20; i++) take((tenant) => tenant === 'a');
    expect(given).toEqual({ a: 1200, b: 0 });
    for (let i = 0; i < 40; i++) take();
    expect(Math.abs(given.a - given.b)).toBeLessThanOrEqual(QUANTUM + 60);
    expect(queue.peek(() => false)).toBeUndefined();
  });

  test('is not changed by a look: who comes later goes before a large item that did not fit yet', () => {
    const queue = new FairQueue<Item>(QUANTUM);
    const push = (name: string, cost: number) => queue.push({ name, tenant: name, cost }, { tenant: name, cost });
    push('large', 64 * QUANTUM);
    for (let round = 0; round < 10; round++) expect(queue.peek()?.name).toBe('large');
    push('small', QUANTUM / 2);
    expect([queue.take()?.name, queue.take()?.name]).toEqual(['small', 'large']);
  });

  test('finds the next item at once, even if requests are far larger than the quantum', () => {
    const queue = new FairQueue<Item>(1);
    for (const tenant of ['a', 'b']) queue.push({ name: '', tenant, cost: 1e12 }, { tenant, cost: 1e12 });
    expect(queue.order().map(({ tenant }) => tenant)).toEqual(['a', 'b']);
  });
});
