/** What the middleware leaves for the routes. */
import type { Context, MiddlewareHandler } from 'hono';
import type { Config } from './config.ts';
import type { Env } from './env.ts';
import type { Caller } from './tenant-directory.ts';

export type AppEnv = {
  Bindings: Env;
  Variables: {
    requestId: string;
    body: string;
    config: Config;
    /** Set by `authenticate`, so only on routes that name it. */
    caller: Caller;
  };
};
export type AppContext = Context<AppEnv>;
export type Middleware = MiddlewareHandler<AppEnv>;
