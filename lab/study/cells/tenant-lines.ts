/**
 * The lines of the demo tenants. A tenant's policy reads each question, so its line is another one
 * for another question. The caller makes them, since this folder knows no policies.
 */
import type { Line } from '#shared/line/line.ts';
import type { Message } from '#shared/protocol/generate.ts';
import type { SecondLook } from '#shared/protocol/second-look.ts';

export const TENANT_IDS = ['strict', 'balanced', 'open'] as const;
export type TenantId = (typeof TENANT_IDS)[number];

/** The line for a question, or the text with which the policy refuses it. */
export type TenantLine = { line: Line; look?: TenantLook } | { refusal: string };
/** By which rules a second look tightens the line, and what a refusal by one of them says. */
type TenantLook = { rules: SecondLook; refusal: string };
export type TenantLines = Readonly<Record<TenantId, (messages: readonly Message[]) => TenantLine>>;
