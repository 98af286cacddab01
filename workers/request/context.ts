/**
 * What the middleware leaves for a route. A route that needs more than `AppEnv` says so in the type
 * of its context, and then compiles only behind the middleware that sets it.
 */
import type { Context, MiddlewareHandler } from 'hono';
import type { RequestTrace } from '#shared/trace/tracing.ts';
import type { Config } from './config.ts';
import type { Env } from './env.ts';
import type { Caller } from './tenant-directory.ts';

/** On every route. */
export type AppEnv = { Bindings: Env; Variables: { requestId: string; config: Config; trace: RequestTrace } };
/** On routes behind `authenticate`. */
export type CallerEnv = AppEnv & { Variables: { caller: Caller } };
/** On routes behind `requireOperator`. The audit log names `operator` as the actor. */
export type OperatorEnv = AppEnv & { Variables: { operator: 'operator' } };
/**
 * On routes behind `requireTenantAccess`: the tenant that the route is about, who asks, as the
 * audit log names it, and whether that one may have answers drawn at the tenant's cost, and read
 * what its clients have asked.
 */
export type TenantAccessEnv = AppEnv & {
  Variables: { access: { tenant: string; actor: string; mayInfer: boolean; mayReadPrompts: boolean } };
};
/** On routes behind `fromOwnPage`: a page of the console asks, and nobody need be signed in. */
export type OwnPageEnv = AppEnv & { Variables: { ownPage: true } };
/** On routes behind `readBodyAfter`. */
export type BodyEnv = AppEnv & { Variables: { body: string } };

export type AppContext<E extends AppEnv = AppEnv> = Context<E>;
export type Middleware<E extends AppEnv = AppEnv> = MiddlewareHandler<E>;
