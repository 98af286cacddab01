/**
 * The part of a D1 database that usage needs. No platform type, so callers type-check under Node.
 */
export type UsageDatabase = {
  prepare(query: string): UsageStatement;
  batch(statements: UsageStatement[]): Promise<unknown>;
};

export type UsageStatement = {
  bind(...values: (string | number)[]): UsageStatement;
  all(): Promise<{ results: unknown[] }>;
};
