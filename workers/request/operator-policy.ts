/**
 * The operator's policy, which everybody is under. It is a part of the deployment, so a new one
 * comes with a new Worker, and one that is broken serves nothing.
 */
import operatorPolicy from '#policies/presets/operator.json' with { type: 'json' };
import { PolicyPart } from '#policies/schema.ts';

export const OPERATOR_POLICY = PolicyPart.parse(operatorPolicy);
