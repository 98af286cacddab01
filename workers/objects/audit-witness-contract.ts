/**
 * What another object knows of the end of the deployment's audit log. This file uses no platform
 * type, so code that only calls the object also type-checks under Node.
 */
import type { AuditEntry, AuditHead } from './audit-chain.ts';

export interface AuditWitnessContract {
  /** The last entry that the witness has seen; `NO_AUDIT` if it has seen none. */
  head(): Promise<AuditHead>;
  /**
   * Takes entries, in order, if they follow the head that it knows, and every hash is right. It
   * skips those that it has. Else it keeps what it knows. Returns the head that it knows then.
   */
  follow(entries: readonly AuditEntry[]): Promise<AuditHead>;
}

export type AuditWitnessBinding = { AUDIT_WITNESS?: { getByName(name: string): AuditWitnessContract } };

/** The one witness; null if the deployment has none. */
export function auditWitness({ AUDIT_WITNESS: namespace }: AuditWitnessBinding): AuditWitnessContract | null {
  if (namespace === undefined) return null;
  // Once its object has crashed, a stub fails for ever. So each call takes a new one.
  const witness = () => namespace.getByName('witness');
  return { head: () => witness().head(), follow: (entries) => witness().follow(entries) };
}
