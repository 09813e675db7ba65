exports.ApplicationError = Error;
