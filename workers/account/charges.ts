/** One request in the books: its row, and what it tells the world outside. */
import type { Settlement } from '../objects/tenant-account-contract.ts';
import type { UsageEvent } from './ledger-contract.ts';
import type { Store } from './store.ts';

type State = 'open' | 'lapsed' | 'settled';
export type Charge = {
  id: string;
  at: number;
  expires_at: number;
  state: State;
  tokens: number;
  credit: number;
  day: string;
  key: string;
  model: string;
  prompt: string | null;
  idempotency: string | null;
  /** How often its cost was booked. */
  revision: number;
};
export type Spent = Settlement['spent'];
export function insertCharge({ exec }: Store, charge: Charge): void {
  const { id, at, expires_at, state, tokens, credit, day, key, model, prompt, idempotency, revision } = charge;
  exec(
    `INSERT INTO charges (id, at, expires_at, state, tokens, credit, day, key, model, prompt, idempotency, revision)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ...[id, at, expires_at, state, tokens, credit, day, key, model, prompt, idempotency, revision],
  );
}

/** Writes all that a settlement changes in a row that is there. */
export function updateSettled({ exec }: Store, { id, tokens, expires_at, revision }: Charge): void {
  exec(
    "UPDATE charges SET state = 'settled', tokens = ?, expires_at = ?, revision = ? WHERE id = ?",
    ...[tokens, expires_at, revision, id],
  );
}

export function usageOf({ id, key, model, day, tokens, revision }: Charge, { prompt, completion }: Spent): UsageEvent {
  return {
    request: id,
    key,
    model,
    day,
    prompt_tokens: prompt,
    completion_tokens: completion,
    charged_tokens: tokens,
    revision,
  };
}
