"""What stands in front of :class:`~aiogram_neonpay.NeonPay`: routers made of its public methods."""
