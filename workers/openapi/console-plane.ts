/** The routes for the console, in a browser. */
import { SessionAnswer, SignedOut, SignIn } from '../session/session-answer.ts';
import { json, type Operations } from './operation.ts';

const FILES = { 'text/html': null, 'text/javascript': null, 'text/css': null, 'font/woff2': null };
const OWN = { 'X-Plimsoll-Console': 'any value. Without it, a cookie counts for nothing' };

export const CONSOLE_PLANE: Operations = {
  'POST /console/session': {
    summary: 'Sign in with a key: the answer sets a cookie that stands for it',
    access: 'anyone',
    takes: OWN,
    body: SignIn,
    answers: json(SessionAnswer),
  },
  'GET /console/session': {
    summary: 'Who is signed in, and for how long',
    access: 'anyone',
    takes: OWN,
    answers: json(SessionAnswer),
  },
  'PUT /console/session': {
    summary: 'Make a session last for another hour',
    access: 'anyone',
    takes: OWN,
    answers: json(SessionAnswer),
  },
  'DELETE /console/session': { summary: 'Sign out', access: 'anyone', takes: OWN, answers: json(SignedOut) },
  'GET /console/*': {
    summary: 'The console: each of its pages, and its files',
    access: 'anyone',
    answers: FILES,
  },
};
