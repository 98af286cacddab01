/** What a test asks of a tenant's kept prompts, past every policy. */
export type TrafficCall = {
  tenant: string;
  call: 'keep' | 'race' | 'ring' | 'fail' | 'hang' | 'stay' | 'forbid';
  argument?: unknown;
};
