/** What tests send to the Workers of `worker/`. No platform type, so both sides can use it. */

/** What a test asks of a scripted account. */
export type AccountCall = {
  tenant: string;
  call: 'advance' | 'fail' | 'forget' | 'crash' | 'rows' | 'ring';
  argument: number | string;
};

/** Many reservations at once, of one account. */
export type Storm = {
  requests: number;
  /** Of the day. */
  limit: number;
  /** Every how many requests one is never settled, as after a crash. */
  crashEvery: number;
};

/** What came of a storm, in requests and in tokens. */
export type Calm = { granted: number; denied: number; reserved: number; spent: number };
