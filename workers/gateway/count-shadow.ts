/**
 * Counts what shadow rules would have done: one line in the log for each answer in which one fired.
 */
import type { ShadowReport } from '#shared/api/plimsoll-extension.ts';
import type { Directive } from '#shared/protocol/directive.ts';
import { logInfo } from '../request/log.ts';

export function countShadow(
  reports: readonly ShadowReport[],
  { request, tenant, policy }: Pick<Directive, 'request' | 'tenant' | 'policy'>,
): void {
  if (reports.length === 0) return;
  const rules = reports.map(({ signal, look, tightens, would }) => ({ signal, look, tightens, action: would.action }));
  logInfo({ event: 'shadow-rules', request, tenant, policy, rules });
}
