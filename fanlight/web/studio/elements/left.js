import { seconds } from './words.js';

/**
 * How long a training still takes, in words; '' before two of its rounds say how long one is.
 * @param {number} rounds that it has done itself: those of a training that it goes on with took their time before
 * @param {number} ms from the end of the first of them to the end of the last
 * @param {number} more rounds that are to come, at most
 */
export const timeLeft = (rounds, ms, more) => {
  if (rounds < 2) return '';
  const left = ms / 1000 / (rounds - 1) * more;
  return `${left < 1 ? '' : 'about '}${seconds(left)} left`;
};
