"""Ready parts of a shop, each a router to include: made of the public methods of ``NeonPay``."""
