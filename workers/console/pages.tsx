/** The pages, in the order of the bar, and for whom each is. */
import type { ComponentType } from 'preact';
import { may, type SessionAnswer } from './net/session.tsx';
import { Playground } from './playground/playground.tsx';

export type Page = {
  name: string;
  title: string;
  isFor: (session: SessionAnswer) => boolean;
  Page: ComponentType<{ path: string[] }>;
};

export const PAGES: readonly Page[] = [
  { name: 'playground', title: 'Playground', isFor: (session) => may(session, 'inference'), Page: Playground },
];
