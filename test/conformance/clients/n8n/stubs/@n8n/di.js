exports.Container = { get: type => new type() };
