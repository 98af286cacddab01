/**
 * Which backends are there, in one object for the whole deployment. Backends tell it, isolates ask
 * it every few seconds, and the operator's drains are kept here.
 *
 * Every heartbeat is stored, because the last counter has to outlive the object: an object that has
 * lost it would take a copy of an old heartbeat. That is one row written per heartbeat.
 */
import { DurableObject } from 'cloudflare:workers';
import type { Heartbeat } from '#shared/protocol/heartbeat.ts';
import { PoolReport } from '#shared/protocol/pool-report.ts';
import type { Drain, PoolDirectoryContract, PoolListing } from './pool-contract.ts';
import { type Hearing, hear, isListed, type LastWord, MOST_HELPFUL } from './pool-membership.ts';

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS backends (
    url TEXT PRIMARY KEY,
    incarnation INTEGER NOT NULL,
    counter INTEGER NOT NULL,
    has_left INTEGER NOT NULL,
    heard_at_ms INTEGER NOT NULL,
    since_ms INTEGER NOT NULL,
    report TEXT NOT NULL
  );
  CREATE TABLE IF NOT EXISTS drains (
    url TEXT PRIMARY KEY,
    drained_by TEXT NOT NULL,
    at_ms INTEGER NOT NULL
  );`;

type BackendRow = {
  url: string;
  incarnation: number;
  counter: number;
  has_left: number;
  heard_at_ms: number;
  since_ms: number;
  report: string;
};

export class PoolDirectory extends DurableObject implements PoolDirectoryContract {
  readonly #sql: SqlStorage;

  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    this.#sql.exec(SCHEMA);
  }

  async heard(heartbeat: Heartbeat): Promise<{ hearing: Hearing; drain: boolean }> {
    const { incarnation, counter, report } = heartbeat;
    const nowMs = Date.now();
    const [before] = this.#sql.exec<BackendRow>('SELECT * FROM backends WHERE url = ?', report.url).toArray();
    const last = before && lastWord(before);
    const joins = report.pool !== undefined && last?.pool === undefined;
    const found = hear(last, { incarnation, counter, pool: report.pool }, nowMs);
    const hearing = found === 'taken' && joins && this.#countHelpful() >= MOST_HELPFUL ? 'full' : found;
    if (hearing === 'taken') {
      const sinceMs = before?.incarnation === incarnation ? before.since_ms : nowMs;
      const hasLeft = report.status === 'gone' ? 1 : 0;
      this.#sql.exec(
        // An update, not a replacement: it leaves the index alone, so it writes a single row.
        `INSERT INTO backends (url, incarnation, counter, has_left, heard_at_ms, since_ms, report)
         VALUES (?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (url) DO UPDATE SET incarnation = excluded.incarnation, counter = excluded.counter,
           has_left = excluded.has_left, heard_at_ms = excluded.heard_at_ms, since_ms = excluded.since_ms,
           report = excluded.report`,
        ...[report.url, incarnation, counter, hasLeft, nowMs, sinceMs, JSON.stringify(report)],
      );
    }
    return { hearing, drain: this.#isDrained(report.url) };
  }

  async list(): Promise<PoolListing> {
    const nowMs = Date.now();
    const rows = this.#sql.exec<BackendRow>('SELECT * FROM backends ORDER BY url').toArray();
    for (const row of rows.filter((row) => !isListed(lastWord(row), nowMs))) {
      this.#sql.exec('DELETE FROM backends WHERE url = ?', row.url);
    }
    const backends = rows
      .filter((row) => isListed(lastWord(row), nowMs))
      .flatMap((row) => {
        // A report of another version of ours says nothing until its backend speaks again.
        const { data: report } = PoolReport.safeParse(JSON.parse(row.report));
        if (report === undefined) return [];
        const { heard_at_ms: heardAtMs, since_ms: sinceMs } = row;
        return { report, ageMs: nowMs - heardAtMs, heardAtMs, sinceMs };
      });
    const drains = this.#sql
      .exec<Drain>('SELECT url, drained_by AS by, at_ms AS atMs FROM drains ORDER BY url')
      .toArray();
    return { backends, drains };
  }

  async drain(url: string, by: string): Promise<boolean> {
    if (this.#isDrained(url)) return false;
    this.#sql.exec('INSERT INTO drains (url, drained_by, at_ms) VALUES (?, ?, ?)', url, by, Date.now());
    return true;
  }

  async undrain(url: string): Promise<boolean> {
    if (!this.#isDrained(url)) return false;
    this.#sql.exec('DELETE FROM drains WHERE url = ?', url);
    return true;
  }

  #countHelpful(): number {
    const counted = `SELECT count(*) AS n FROM backends WHERE json_extract(report, '$.pool') = 'helpfulness'`;
    return this.#sql.exec<{ n: number }>(counted).one().n;
  }

  #isDrained(url: string): boolean {
    return this.#sql.exec('SELECT 1 FROM drains WHERE url = ?', url).toArray().length > 0;
  }
}

function lastWord({ incarnation, counter, has_left, heard_at_ms, report }: BackendRow): LastWord {
  // A report of another version of ours was taken for one of the deployment's own.
  const { pool } = PoolReport.pick({ pool: true }).safeParse(JSON.parse(report)).data ?? {};
  return { incarnation, counter, left: has_left === 1, heardAtMs: heard_at_ms, pool };
}
