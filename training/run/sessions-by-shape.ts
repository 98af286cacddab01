/**
 * Keeps one session per batch shape, made on first use. Shapes are static, and there are only a few
 * (`data/buckets.ts`).
 */
import type { GraphSession } from '#gpu-backend/graph/session.ts';
import type { BatchShape } from '../graphs/training-inputs.ts';

export type SessionOf = (batch: BatchShape) => Promise<GraphSession>;

export function sessionsByShape(make: SessionOf): SessionOf {
  const made = new Map<string, Promise<GraphSession>>();
  return ({ rows, length }) => {
    const key = `${rows}x${length}`;
    const session = made.get(key) ?? make({ rows, length });
    made.set(key, session);
    return session;
  };
}
