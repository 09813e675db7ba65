// Package attacks lets real browsers and real relays ask a real sidecar for the
// credentials of a pod that they have no right to.
//
// What a browser or a proxy adds to a request is decided by its authors and changes with
// its releases. Only the program itself shows what a guard has to recognise.
//
// The tests have the build tag attacks, because they need Debian's packages, and
// namespaces of their own. Run them with the script run in this directory. With --record
// it instead writes what the programs send to internal/server/testdata, for the unit tests
// of the guard.
package attacks
