/** Style sheets of libraries, which the bundler gives as texts. */
declare module '*.css' {
  const text: string;
  export default text;
}
